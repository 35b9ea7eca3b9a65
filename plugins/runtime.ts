import { defineNitroPlugin, runTask } from 'nitropack/runtime';
import { systemClock } from '../server/core/clock';
import { everySecond } from '../server/core/every-second';
import { setCurrentDaemon } from '../server/daemon/current';
import { launch } from '../server/daemon/launch';
import { prepareListening } from '../server/daemon/listening';
import { TaskBackup } from '../server/daemon/task-backup';
import { setHttpLogger } from '../server/http/http-logger';
import { setHttpTracing } from '../server/http/http-tracing';
import { limitConnections } from '../server/http/request/connection-limits';
import { fillGuardSettings } from '../server/http/request/guard-settings';
import { silenceRequestHooks } from '../server/http/silent-hooks';

/**
 * The one plugin: it builds the daemon, which holds what all handlers share (correlation channel, CloudStack
 * client, MySQL pool). Nitro does not await plugins: until the daemon is ready, the guard answers 503
 * STARTING.
 */
export default defineNitroPlugin((nitroApp) => {
  const { configuration, daemon, logger, access, tracing } = launch(process.env, process.argv.slice(2));
  limitConnections();
  silenceRequestHooks(nitroApp.h3App.options);
  prepareListening(configuration.http, process.env);
  setHttpLogger(logger);
  setHttpTracing(tracing);
  fillGuardSettings(configuration.http, access);
  setCurrentDaemon(daemon);
  const backup = new TaskBackup(systemClock, (name) => {
    runTask(name).catch((cause: unknown) => logger.error('A task has failed', { task: name, error: cause }));
  });
  const endBackup = everySecond(() => backup.tick());
  nitroApp.hooks.hook('close', () => {
    endBackup();
    return daemon.stop();
  });
});
