import { ApiError } from '../client/errors';
import type { Reply } from '../client/operations';
import { type Noun, type Verb, verb } from '../command';
import type { Context } from '../context';
import { EXIT } from '../exit';
import { LIST } from '../globals';
import type { Column } from '../output/table';
import { type Tone, timeText } from '../output/text';
import { durationText, sizeText } from '../output/units';
import { field, sizeColumn } from './columns';

type Checked = Reply<'checkCloudstack'> | Reply<'checkDatabase'>;

const verdict = (ok: boolean): Tone => (ok ? 'good' : 'bad');
const skew = (ms: number | null) =>
  ms === null ? null : `${ms < 0 ? '-' : ''}${durationText(Math.abs(ms))}`;

type Owner = Reply<'checkCloudstack'>['appliance']['owner'];
const ownerText = (owner: NonNullable<Owner>) =>
  owner.project_id === null ? `account ${owner.account ?? 'unknown'}` : `project ${owner.project_id}`;

/** Undefined: the daemon is of a version before this one, which does not say it. */
function newVolumesText(told: Reply<'checkCloudstack'>['new_volumes'] | undefined): string | null {
  const { owner, from } = told ?? { owner: null, from: null };
  if (from === null) return null;
  return owner === null ? 'for the account of the key' : `for ${ownerText(owner)} (from ${from})`;
}

const RESULT: readonly Column<Checked>[] = [
  { name: 'result', value: ({ ok }) => (ok ? 'ok' : 'not ok'), tone: ({ ok }) => verdict(ok) },
  {
    name: 'problems',
    value: ({ problems }) => (problems.length === 0 ? 'none' : problems.join('; ')),
    tone: ({ ok }) => (ok ? 'plain' : 'bad'),
  },
];

const SERVER: readonly Column<Checked>[] = [
  field('version'),
  { name: 'round_trip', value: ({ round_trip_ms: ms }) => (ms === null ? null : durationText(ms)) },
  { name: 'clock_skew', value: ({ clock_skew_ms }) => skew(clock_skew_ms) },
];

const CLOUDSTACK: readonly Column<Reply<'checkCloudstack'>>[] = [
  ...RESULT,
  field('configuration'),
  field('endpoint'),
  ...SERVER,
  { name: 'appliance', value: ({ appliance }) => `${appliance.vm_id ?? 'unknown'} (${appliance.verdict})` },
  { name: 'owner', value: ({ appliance }) => appliance.owner && ownerText(appliance.owner) },
  { name: 'new_volumes', value: ({ new_volumes }) => newVolumesText(new_volumes) },
];

type Right = Reply<'checkCloudstack'>['commands'][number];

const ALLOWED: readonly Column<Right>[] = [
  {
    name: 'allowed',
    value: ({ allowed }) => (allowed === null ? 'not known' : allowed ? 'yes' : 'no'),
    tone: ({ allowed }) => (allowed === null ? 'warn' : verdict(allowed)),
  },
  { name: 'needed_for', value: ({ purpose }) => purpose },
];
const COMMAND: readonly Column<Right>[] = [{ name: 'command', value: ({ name }) => name }, ...ALLOWED];
const RIGHT: readonly Column<Right>[] = [{ name: 'right', value: ({ name }) => name }, ...ALLOWED];

const DATABASE: readonly Column<Reply<'checkDatabase'>>[] = [
  ...RESULT,
  field('database'),
  ...SERVER,
  { name: 'pool', value: ({ pool }) => `${pool.in_use} in use, ${pool.waiting} waiting` },
  {
    name: 'owner',
    value: ({ owner }) => owner && `${owner.owner} (epoch ${owner.epoch}, since ${timeText(owner.since)})`,
  },
];

const MIGRATION: readonly Column<Reply<'checkDatabase'>['migrations'][number]>[] = [
  { name: 'migration', value: ({ id }) => id },
  { name: 'applied_at', value: ({ applied_at }) => applied_at && timeText(applied_at) },
];

const ZONE: readonly Column<Reply<'listZones'>[number]>[] = [
  field('id'),
  field('name'),
  { name: 'state', value: ({ allocation_state }) => allocation_state },
  { name: 'configured', value: ({ configured }) => (configured ? 'yes' : 'no') },
];

const OFFERING: readonly Column<Reply<'listOfferings'>[number]>[] = [
  field('id'),
  field('name'),
  { name: 'size', value: ({ customized, size_gib }) => (customized ? 'any' : `${size_gib ?? '?'} GiB`) },
];

export const VALIDATION: readonly Column<Reply<'validateExports'>['results'][number]>[] = [
  { name: 'export', value: ({ export_name }) => export_name },
  { name: 'ok', value: ({ ok }) => (ok ? 'yes' : 'no'), tone: ({ ok }) => verdict(ok) },
  { ...sizeColumn('size', ({ size }) => size), value: ({ size }) => (size === null ? null : sizeText(size)) },
  { name: 'what', value: ({ message }) => message },
];

interface Result {
  readonly ok: boolean;
  /** What the daemon answered, for --json. */
  readonly report: object;
  print(): void;
}
type Check = (context: Context) => Promise<Result>;

const cloudstack: Check = async ({ client, out }) => {
  const report = await client.call('checkCloudstack', {});
  const print = () => {
    out.record(CLOUDSTACK, report);
    if (out.isBare) return;
    out.section('What the key may do', COMMAND, report.commands, 'Nothing.');
    out.section('Rights', RIGHT, report.rights ?? [], 'None.');
  };
  return { ok: report.ok, report, print };
};

const zones: Check = async ({ client, out }) => {
  const report = await client.call('listZones', {});
  const print = () => out.table(ZONE, report, 'CloudStack offers no zone to this key.');
  return { ok: report.length > 0, report, print };
};

const offerings: Check = async ({ client, out }) => {
  const report = await client.call('listOfferings', {});
  const print = () => out.table(OFFERING, report, 'CloudStack offers no disk offering to this key.');
  return { ok: report.length > 0, report, print };
};

const database: Check = async ({ client, out }) => {
  const report = await client.call('checkDatabase', {});
  const print = () => {
    out.record(DATABASE, report);
    if (!out.isBare) out.section('Schema', MIGRATION, report.migrations, 'None.');
  };
  return { ok: report.ok, report, print };
};

const exports: Check = async ({ client, out, longTimeoutMs }) => {
  const report = await client.call('validateExports', {}, { timeoutMs: longTimeoutMs });
  const print = () => {
    if (out.isData) return out.data(report);
    out.table(VALIDATION, report.results, 'Nothing is exported.');
    out.hint(report.message);
  };
  return { ok: report.valid, report, print };
};

const CHECKS = { cloudstack, zones, offerings, database, exports } as const;

/** Every check, also after one has failed. With --json one object, by the names of the checks. */
async function all(context: Context): Promise<number> {
  const { out } = context;
  const reports: Record<string, object> = {};
  let code: number = EXIT.OK;
  for (const [name, check] of Object.entries(CHECKS)) {
    const { ok, report, print } = await check(context).catch((error) => refused(error, context));
    reports[name] = report;
    if (!ok) code = EXIT.FAILED;
    if (out.isData) continue;
    if (name !== 'cloudstack') out.say('');
    out.say(`== ${name}`, 'bold');
    print();
  }
  if (out.isData) out.data(reports);
  return code;
}

/** A check that the daemon refuses has failed; without a daemon there is no point in the others. */
function refused(error: unknown, { out }: Context): Result {
  if (!(error instanceof ApiError) || error.notReady) throw error;
  const print = () => out.say(`${error.message} (${error.problem.code})`, 'bad');
  return { ok: false, report: error.problem, print };
}

const single = (check: Check) => async (context: Context) => {
  const { ok, print } = await check(context);
  print();
  return ok ? EXIT.OK : EXIT.FAILED;
};

/** Shared with `volumectl export validate`. */
export const validation = single(exports);

function checkVerb(check: Check, about: Omit<Verb, 'examples' | 'run'>, what: string): Verb {
  return verb({ ...about, examples: [{ args: '', what }], run: single(check) });
}

export const checkNoun: Noun = {
  name: 'check',
  summary: 'Find out what is wrong',
  verbs: [
    verb({
      name: 'all',
      summary: 'Run every check',
      args: {},
      examples: [{ args: '', what: 'First thing on a new appliance.' }],
      run: all,
    }),
    checkVerb(
      cloudstack,
      {
        name: 'cloudstack',
        summary: 'Check CloudStack: version, clock, whose volumes and appliance are, and what the key may do',
        args: {},
        columns: CLOUDSTACK,
      },
      'After a 401, or a change of ossea_configs.',
    ),
    checkVerb(
      zones,
      { name: 'zones', summary: 'List the zones of CloudStack', args: LIST, columns: ZONE },
      'For --zone of "volume create"; the configured one is marked.',
    ),
    checkVerb(
      offerings,
      { name: 'offerings', summary: 'List the disk offerings of CloudStack', args: LIST, columns: OFFERING },
      'For --offering of "volume create".',
    ),
    checkVerb(
      database,
      {
        name: 'database',
        summary: 'Check the database: server, schema, clock, and who owns this appliance',
        args: {},
        columns: DATABASE,
      },
      'Also when it is away: then it says why.',
    ),
    checkVerb(
      exports,
      {
        name: 'exports',
        summary: 'Ask every NBD export whether it answers, with the right size',
        args: LIST,
        columns: VALIDATION,
      },
      'A real NBD handshake with each.',
    ),
  ],
};
