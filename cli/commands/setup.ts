import { readFileSync } from 'node:fs';
import type { SetupReport, SetupRequest, Step } from '~/server/daemon/setup/setup-request';
import { flag, option, type Values } from '../arguments';
import { loneNoun } from '../command';
import type { Context } from '../context';
import { environmentFile, runErrand } from '../daemon-program';
import { EXIT, UsageError } from '../exit';
import { stateTone } from '../output/state-tone';
import type { Column } from '../output/table';
import { DRY_RUN } from './arguments';
import { field } from './columns';

const ADMIN = 'root@unix(/run/mysqld/mysqld.sock)/mysql';
/** The first start of a large schema takes long on a slow disk. */
const SETUP_TIMEOUT_MS = 5 * 60_000;

const COLUMNS: readonly Column<Step>[] = [
  { name: 'what', value: ({ name }) => name },
  {
    name: 'state',
    value: ({ state }) => state,
    tone: ({ state }) => (state === 'ok' ? 'good' : stateTone(state)),
  },
  field('message'),
  { ...field('remedy'), hidden: true },
];

const ARGS = {
  'cloudstack-url': option('url', 'where CloudStack is, like https://cloud.example/client/api'),
  'api-key': option('key', 'the API key of the user whose rights are used'),
  'secret-file': { ...option('path', 'file with its secret key; - is the standard input'), complete: 'file' },
  zone: option('id', 'id or name of the zone; needed when the key sees several', 'zone_id'),
  vm: option('id', 'id of the VM that this is; by default what the hypervisor tells', 'vm_id'),
  replace: flag('give an active row of ossea_configs with other values these ones'),
  'database-admin': option('dsn', `who may make the database and its account (default ${ADMIN})`),
  'database-admin-file': {
    ...option('path', 'file with that DSN, for one with a password: others see the list of processes'),
    complete: 'file',
  },
  ...DRY_RUN,
} as const;

export const setupNoun = loneNoun('setup', {
  summary: 'Make what a new appliance needs: database, account, tables, and where CloudStack is',
  details:
    'Run it as root, before or while the daemon runs; it may be repeated, and changes nothing that works. ' +
    'The account gets a password of its own, which is written into DATABASE_DSN of /etc/default/volume-daemon. ' +
    'CloudStack is asked with the new values before they are written into ossea_configs. ' +
    'On a terminal it asks for what is not given. Exit code 3 when something is missing: it is named, with what to do.',
  args: ARGS,
  columns: COLUMNS,
  onThisMachine: true,
  examples: [
    { args: '', what: 'Asks for what it needs.' },
    {
      args: '--cloudstack-url https://cloud.example/client/api --api-key <key> --secret-file /root/secret',
      what: 'For a script.',
    },
    { args: '--dry-run', what: 'What is there, and what is missing.' },
  ],
  async run(context, args) {
    const { out } = context;
    const request = requestOf(args);
    let report = setUp(request);
    if (report.needs_cloudstack && context.ask !== null)
      report = setUp({ ...request, cloudstack: await askCloudstack(context.ask) });
    const { steps } = report;
    if (out.isData) out.data(steps);
    else out.table(COLUMNS, steps, '');
    const missing = steps.filter(({ state }) => state === 'missing');
    for (const { name, remedy } of missing) if (remedy) out.complain(`${name}: ${remedy}`, 'warn');
    if (missing.length > 0) return EXIT.FAILED;
    const next = args['dry-run']
      ? 'Nothing was done.'
      : 'Next: systemctl restart volume-daemon; volumectl health';
    out.hint(next);
    return EXIT.OK;
  },
});

function requestOf(args: Values<typeof ARGS>): SetupRequest {
  const { 'cloudstack-url': url, 'api-key': apiKey, 'secret-file': secretFile } = args;
  const given = [url, apiKey, secretFile].filter((one) => one !== undefined).length;
  if (given !== 0 && given !== 3)
    throw new UsageError('--cloudstack-url, --api-key and --secret-file belong together');
  const cloudstack =
    url === undefined || apiKey === undefined || secretFile === undefined
      ? null
      : { url, api_key: apiKey, secret_key: readSecret('--secret-file', secretFile) };
  return {
    admin: adminOf(args),
    environment_file: environmentFile(),
    dry_run: args['dry-run'] ?? false,
    cloudstack,
    zone: args.zone ?? null,
    vm_id: args.vm ?? null,
    replace: args.replace ?? false,
  };
}

function adminOf({ 'database-admin': dsn, 'database-admin-file': path }: Values<typeof ARGS>): string {
  if (path === undefined) return dsn ?? ADMIN;
  if (dsn !== undefined)
    throw new UsageError(
      '--database-admin and --database-admin-file contradict each other',
      'Give only one.',
    );
  return readSecret('--database-admin-file', path);
}

function readSecret(option: string, path: string): string {
  try {
    const secret = readFileSync(path === '-' ? 0 : path, 'utf8').trim();
    if (secret !== '') return secret;
  } catch (error) {
    throw new UsageError(`${option} cannot be read: ${error instanceof Error ? error.message : ''}`);
  }
  throw new UsageError(`${option} is empty`);
}

/** Runs the program of the daemon, which knows databases and CloudStack, for this one errand. */
function setUp(request: SetupRequest): SetupReport {
  const input = JSON.stringify(request);
  return JSON.parse(runErrand({ name: '--setup', input, timeoutMs: SETUP_TIMEOUT_MS }));
}

async function askCloudstack(ask: NonNullable<Context['ask']>): Promise<SetupRequest['cloudstack']> {
  const url = await ask('Where is CloudStack (https://.../client/api)?', 'shown');
  const key = await ask('API key:', 'shown');
  return { url, api_key: key, secret_key: await ask('Secret key (is not shown):', 'hidden') };
}
