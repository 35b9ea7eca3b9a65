import { messageOf } from '../core/errors';
import { createLogger } from '../core/log/create-logger';
import { DAEMON_STARTING } from '../core/log/log-events';
import { type Logger, silentLogger } from '../core/log/logger';
import { createRedactor, type Redactor } from '../core/redaction';
import { behindClosedDoor, printAdoptionPlan } from './adoption-plan';
import type { Configuration } from './configuration/configuration';
import { ConfigurationError, describeConfiguration, loadConfiguration } from './configuration/configuration';
import { VolumeDaemon } from './volume-daemon';

/**
 * Exit codes: 0 drained, 1 configuration or start failed, 70 programming error (EX_SOFTWARE; systemd starts
 * us again).
 */
const EXIT_CONFIGURATION = 1;
const EXIT_SOFTWARE = 70;

/**
 * Reads the configuration and starts the daemon in the background. All mistakes of the configuration are
 * printed at once, and the process ends with 1. `--check-config` prints the effective configuration, secrets
 * masked, and ends the process; `--adopt-plan` prints what taking over an old database does, likewise.
 */
export function launch(
  env: Readonly<Record<string, string | undefined>>,
  args: readonly string[],
): { configuration: Configuration; daemon: VolumeDaemon; logger: Logger; redactor: Redactor } {
  const planOnly = args.includes('--adopt-plan');
  const configured = configure(env);
  const configuration = planOnly ? behindClosedDoor(configured) : configured;
  if (args.includes('--check-config')) {
    process.stdout.write(`${JSON.stringify(describeConfiguration(configuration), null, 2)}\n`);
    process.exit(0);
  }
  const redactor = createRedactor();
  for (const secret of [
    configuration.database.dsn.password,
    configuration.credentials.encryptionKey?.toString('base64'),
  ]) {
    if (secret) redactor.register(secret);
  }
  const logger = planOnly
    ? silentLogger
    : createLogger({ level: configuration.log.level, format: configuration.log.format, redactor });
  logger.info(DAEMON_STARTING, { pid: process.pid, node: process.version });
  for (const note of configuration.notes) logger.warn('A setting has no effect', { note });
  const fatal = (error: unknown) => {
    logger.error('A programming error ended the daemon; the next start continues every operation', { error });
    process.exit(EXIT_SOFTWARE);
  };
  // Nitro only logs these; a daemon in an unknown state must not continue to write.
  process.on('uncaughtException', fatal);
  process.on('unhandledRejection', fatal);
  const daemon = build({ configuration, logger, redactor, onFatal: fatal });
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void daemon.stop());
  const run = () => (planOnly ? printAdoptionPlan(configuration) : daemon.start());
  run().catch((error: unknown) => {
    logger.error('The daemon could not start', { error, reason: messageOf(error) });
    process.exit(EXIT_CONFIGURATION);
  });
  return { configuration, daemon, logger, redactor };
}

function configure(env: Readonly<Record<string, string | undefined>>): Configuration {
  try {
    return loadConfiguration(env);
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    process.stderr.write(
      `The configuration is not valid:\n${error.problems.map(({ variable, message }) => `  ${variable}: ${message}`).join('\n')}\n`,
    );
    process.exit(EXIT_CONFIGURATION);
  }
}

/** Parts that cannot be built are reported as a mistake of the configuration. */
function build(parts: ConstructorParameters<typeof VolumeDaemon>[0]): VolumeDaemon {
  try {
    return new VolumeDaemon(parts);
  } catch (error) {
    parts.logger.error('The daemon could not be built', { reason: messageOf(error) });
    process.exit(EXIT_CONFIGURATION);
  }
}
