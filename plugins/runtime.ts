import { defineNitroPlugin } from 'nitropack/runtime';
import { fillGuardSettings } from '../server/http/guard-settings';
import { setCurrentDaemon } from '../server/runtime/current';
import { launch } from '../server/runtime/launch';

/**
 * The one plugin: it holds what all handlers share (correlation channel, CloudStack client, MySQL pool) by building the daemon
 * once. Nitro does not await plugins, so nothing here blocks: until the daemon is ready the guard answers 503 STARTING.
 */
export default defineNitroPlugin((nitroApp) => {
  const launched = launch(process.env, process.argv.slice(2));
  if (!launched) return;
  fillGuardSettings(launched.configuration.http);
  setCurrentDaemon(launched.daemon);
  nitroApp.hooks.hook('close', () => launched.daemon.stop());
});
