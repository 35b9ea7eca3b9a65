import { lstatSync, rmSync } from 'node:fs';
import { hasCode } from '../core/has-code';
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

/** Why the server cannot listen, with the setting that says where; null for every other error. */
export function listenProblem(
  error: unknown,
  { host, port, socketPath }: Pick<Configuration['http'], 'host' | 'port' | 'socketPath'>,
): string | null {
  if (!(error instanceof Error) || !('syscall' in error) || error.syscall !== 'listen') return null;
  if (socketPath !== null) return `UNIX_SOCKET: ${error.message}`;
  if (hasCode(error, 'EADDRINUSE'))
    return `PORT: ${error.message}; ss -ltnp 'sport = :${port}' names the program that has it`;
  return hasCode(error, 'EACCES')
    ? `PORT: ${error.message}; those below 1024 need a right of their own`
    : `HOST: ${error.message}; ip address shows what ${host} may be`;
}
