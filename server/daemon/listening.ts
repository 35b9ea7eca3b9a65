import { lstatSync, readFileSync, rmSync } from 'node:fs';
import { hasCode } from '../core/has-code';
import type { Configuration } from './configuration/configuration';

/**
 * Nitro's server reads the address from the environment when it starts to listen, which is after its plugins
 * have run; without these variables it would use all interfaces and port 3000. They are set to the address
 * that was checked. A socket that an earlier run left behind is removed (it would be EADDRINUSE for ever);
 * anything else at that path is left alone, one that somebody listens on too, and listening fails. Throws what the file
 * system says.
 */
export function prepareListening(
  http: Pick<Configuration['http'], 'host' | 'port' | 'socketPath'>,
  env: Record<string, string | undefined>,
): void {
  env.HOST = http.host;
  env.PORT = String(http.port);
  if (http.socketPath === null) return;
  env.NITRO_UNIX_SOCKET = http.socketPath;
  const isSocket = lstatSync(http.socketPath, { throwIfNoEntry: false })?.isSocket() === true;
  if (isSocket && !isListening(http.socketPath)) rmSync(http.socketPath);
}

/** Without its name nobody would find the daemon that listens there any more, although it runs. */
function isListening(path: string): boolean {
  try {
    // num, references, protocol, flags (__SO_ACCEPTCON), type, state, inode, path
    const bound = readFileSync('/proc/net/unix', 'utf8').split('\n');
    return bound.some((line) => line.split(' ')[3] === '00010000' && line.endsWith(` ${path}`));
  } catch {
    return false;
  }
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
