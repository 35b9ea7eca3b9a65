import { lstatSync, rmSync } from 'node:fs';
import type { Configuration } from './configuration/configuration';

/**
 * Nitro's server reads the address from the environment when it starts to listen, which is after its plugins
 * have run; without these variables it would use all interfaces and port 3000. They are set to the address
 * that was checked. A socket that an earlier run left behind is removed (it would be EADDRINUSE for ever);
 * anything else at that path is left alone, and listening fails. Throws what the file system says.
 */
export function prepareListening(
  http: Pick<Configuration['http'], 'host' | 'port' | 'socketPath'>,
  env: Record<string, string | undefined>,
): void {
  env.HOST = http.host;
  env.PORT = String(http.port);
  if (http.socketPath === null) return;
  env.NITRO_UNIX_SOCKET = http.socketPath;
  if (lstatSync(http.socketPath, { throwIfNoEntry: false })?.isSocket()) rmSync(http.socketPath);
}
