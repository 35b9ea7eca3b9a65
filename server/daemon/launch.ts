import { systemClock } from '../core/clock';
import { messageOf } from '../core/errors';
import { createLogger } from '../core/log/create-logger';
import { DAEMON_STARTING } from '../core/log/log-events';
import type { Logger } from '../core/log/logger';
import { createRedactor } from '../core/redaction';
import type { Tracing } from '../core/tracing';
import { VERSION } from '../core/version';
import { type Access, openAccess } from './access/access';
import { behindClosedDoor, printAdoptionPlan } from './adoption-plan';
import { type Errand, readArguments } from './arguments';
import type { Configuration } from './configuration/configuration';
import { ConfigurationError, describeConfiguration, loadConfiguration } from './configuration/configuration';
import { listenProblem, STOP_SIGNALS, untilListening } from './listening';
import { runSetup } from './setup/setup';
import { startTracing } from './tracing/start-tracing';
import { VolumeDaemon } from './volume-daemon';

/**
 * Exit codes: 0 drained, 1 configuration or start failed, 2 wrong arguments, 70 programming error
 * (EX_SOFTWARE; systemd starts us again).
 */
const EXIT_CONFIGURATION = 1;
const EXIT_USAGE = 2;
const EXIT_SOFTWARE = 70;

/**
 * Reads the configuration and starts the daemon in the background. All mistakes of the configuration are
 * printed at once, and the process ends with 1. With an argument it does what that asks for and ends the
 * process instead (./arguments.ts).
 */
export function launch(
  env: Readonly<Record<string, string | undefined>>,
  args: readonly string[],
): { configuration: Configuration; daemon: VolumeDaemon; logger: Logger; access: Access; tracing: Tracing } {
  const errand = errandOf(args);
  const configured = configure(env);
  const configuration =
    errand === null || errand === '--check-config' ? configured : behindClosedDoor(configured);
  const redactor = createRedactor();
  for (const secret of [
    configuration.database.dsn.password,
    configuration.credentials.encryptionKey?.toString('base64'),
    ...Object.values(configuration.tracing.headers),
  ]) {
    if (secret) redactor.register(secret);
  }
  // The standard output of an errand is for its result, the other one for why there is none.
  const logger =
    errand === null
      ? createLogger({ level: configuration.log.level, format: configuration.log.format, redactor })
      : createLogger({ level: 'error', format: 'pretty', colours: false, redactor, write: complain });
  logger.info(DAEMON_STARTING, { pid: process.pid, node: process.version });
  for (const note of configuration.notes) logger.warn('A setting has no effect', { note });
  const access = built(logger, () =>
    openAccess(configuration.http, { clock: systemClock, logger, redactor }),
  );
  if (errand === '--check-config') {
    process.stdout.write(`${JSON.stringify(describeConfiguration(configuration), null, 2)}\n`);
    process.exit(0);
  }
  const fatal = (error: unknown) => {
    const reason = listenProblem(error, configuration.http);
    if (reason !== null) {
      logger.error('The daemon cannot listen where it is told to', { reason });
      process.exit(EXIT_CONFIGURATION);
    }
    logger.error('A programming error ended the daemon; the next start continues every operation', { error });
    process.exit(EXIT_SOFTWARE);
  };
  // Nitro only logs these; a daemon in an unknown state must not continue to write.
  process.on('uncaughtException', fatal);
  process.on('unhandledRejection', fatal);
  const traces = startTracing({ settings: configuration.tracing, version: VERSION, logger });
  const daemon = built(
    logger,
    () => new VolumeDaemon({ configuration, logger, redactor, access, traces, onFatal: fatal }),
  );
  for (const signal of STOP_SIGNALS) process.once(signal, () => void daemon.stop());
  const run = async () => {
    if (errand === '--setup') return runSetup(configuration, env);
    if (errand === '--adopt-plan') return printAdoptionPlan(configuration);
    await untilListening(configuration.http);
    if (!daemon.stopping.aborted) await daemon.start();
  };
  run().catch((error: unknown) => {
    logger.error('The daemon could not start', { error, reason: messageOf(error) });
    process.exit(EXIT_CONFIGURATION);
  });
  return { configuration, daemon, logger, access, tracing: traces.tracing };
}

function complain(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Ends the process when the arguments ask for a text, or are wrong. */
function errandOf(args: readonly string[]): Errand | null {
  const asked = readArguments(args);
  switch (asked.kind) {
    case 'run':
      return asked.errand;
    case 'print':
      process.stdout.write(asked.text);
      return process.exit(0);
    case 'mistake':
      process.stderr.write(asked.text);
      return process.exit(EXIT_USAGE);
    default:
      return asked satisfies never;
  }
}

function configure(env: Readonly<Record<string, string | undefined>>): Configuration {
  try {
    return loadConfiguration(env);
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    const lines = [
      ...error.problems.map(({ variable, message }) => `${variable}: ${message}`),
      ...error.notes,
    ];
    process.stderr.write(`The configuration is not valid:\n${lines.map((line) => `  ${line}\n`).join('')}`);
    process.exit(EXIT_CONFIGURATION);
  }
}

/** Parts that cannot be built are reported as a mistake of the configuration. */
function built<T>(logger: Logger, build: () => T): T {
  try {
    return build();
  } catch (error) {
    logger.error('The daemon could not be built', { reason: messageOf(error) });
    process.exit(EXIT_CONFIGURATION);
  }
}
