import { text } from 'node:stream/consumers';
import { messageOf } from '../../core/errors';
import { silentLogger } from '../../core/log/logger';
import { programFile } from '../../core/program-file';
import { createRedactor } from '../../core/redaction';
import { describeDsn } from '../../database/connection/dsn';
import { createAdapters } from '../adapters';
import type { Configuration } from '../configuration/configuration';
import { DEFAULT_DSN } from '../configuration/variables';
import { setUpCloudstack } from './setup-cloudstack';
import { setUpDatabase } from './setup-database';
import { type SetupReport, type SetupRequest, type Step, setupRequest } from './setup-request';

/**
 * What `volumectl setup` runs, while the daemon need not: reads a request from the standard input,
 * makes what is missing, prints the report as JSON and ends the process with 0; with 1 when the
 * request is not understood.
 */
export async function runSetup(
  configuration: Configuration,
  env: Readonly<Record<string, string | undefined>>,
): Promise<never> {
  try {
    const request = setupRequest.parse(JSON.parse(await text(process.stdin)));
    const report = await setUp(configuration, env.DATABASE_DSN || DEFAULT_DSN, request);
    process.stdout.write(`${JSON.stringify(report)}\n`);
    process.exit(0);
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n`);
    process.exit(1);
  }
}

/** Repeated with the same request it changes nothing any more. */
export async function setUp(
  configuration: Configuration,
  dsnText: string,
  request: SetupRequest,
): Promise<SetupReport> {
  const steps: Step[] = [];
  const dsn = await setUpDatabase(
    {
      text: dsnText,
      dsn: configuration.database.dsn,
      admin: request.admin,
      environmentFile: request.environment_file,
      dryRun: request.dry_run,
    },
    steps,
  );
  const { guest } = createAdapters(configuration, silentLogger, createRedactor(), () => {});
  const parts = { configuration, productUuid: () => guest.productUuid() };
  const configured = await setUpCloudstack(parts, dsn, request, steps);
  steps.push(exportsStep(configuration.exports.backend));
  if (!configured)
    steps.push({
      name: 'ossea_configs',
      state: 'missing',
      message: `no active row says where CloudStack is (${describeDsn(configuration.database.dsn)})`,
      remedy: 'Name it with --cloudstack-url, --api-key and --secret-file',
    });
  return { steps, needs_cloudstack: !configured };
}

function exportsStep(backend: Configuration['exports']['backend']): Step {
  if (backend === 'none')
    return { name: 'exports', state: 'ok', message: 'NBD_BACKEND=none: nothing is exported' };
  const programs = backend === 'auto' ? ['nbdkit', 'nbd-server'] : [backend];
  const found = programs.find((program) => programFile(program) !== null);
  return found === undefined
    ? {
        name: 'exports',
        state: 'missing',
        message: `${programs.join(' or ')} is not installed`,
        remedy: `apt install ${programs[0]}`,
      }
    : { name: 'exports', state: 'ok', message: `${found} is installed` };
}
