import { existsSync, lstatSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { hasCode } from '../core/has-code';
import { LIMITS } from '../core/limits';
import { isListeningAt } from '../devices/sysfs/socket-table';
import type { Configuration } from './configuration/configuration';

/**
 * Each lets the daemon drain. SIGHUP: the terminal of one that was started by hand has been closed, which
 * nohup does not keep from Node either.
 */
export const STOP_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/**
 * Nitro's server reads the address from the environment when it starts to listen, which is after its plugins
 * have run; without these variables it would use all interfaces and port 3000. They are set to the address
 * that was checked. A socket that an earlier run left behind is removed (it would be EADDRINUSE for ever);
 * anything else at that path is left alone, one that somebody listens on too, and listening fails. How long
 * an answer that waits for CloudStack may hold the end of the process is read from there as well: 30 s
 * without a word. Throws what the file system says.
 */
export function prepareListening(
  http: Pick<Configuration['http'], 'host' | 'port' | 'socketPath'>,
  env: Record<string, string | undefined>,
): void {
  env.HOST = http.host;
  env.PORT = String(http.port);
  env.NITRO_SHUTDOWN_SIGNALS = STOP_SIGNALS.join(' ');
  env.NITRO_SHUTDOWN_TIMEOUT = String(LIMITS.HTTP_DRAIN_MS);
  if (http.socketPath === null) return;
  env.NITRO_UNIX_SOCKET = http.socketPath;
  const isThere = lstatSync(http.socketPath, { throwIfNoEntry: false })?.isSocket();
  if (isThere && !isListeningAt(http.socketPath)) rmSync(http.socketPath);
}

/**
 * Resolves when Nitro's server listens, which begins after its plugins have run; where that fails, the
 * process ends (`listenProblem`). A daemon whose port another one has, such as the daemon before this one,
 * must not take its operations over first. Goes on after a while where the runtime does not tell.
 */
export async function untilListening({
  socketPath,
}: Pick<Configuration['http'], 'socketPath'>): Promise<void> {
  const listens = () =>
    socketPath === null
      ? process.getActiveResourcesInfo().includes('TCPServerWrap')
      : lstatSync(socketPath, { throwIfNoEntry: false })?.isSocket() === true;
  const deadline = performance.now() + LIMITS.LISTEN_WAIT_MS;
  do await pause(LIMITS.LISTEN_POLL_MS);
  while (!listens() && performance.now() < deadline);
}

/** Why the server cannot listen, with the setting that says where; null for every other error. */
export function listenProblem(
  error: unknown,
  { host, port, socketPath }: Pick<Configuration['http'], 'host' | 'port' | 'socketPath'>,
): string | null {
  if (!(error instanceof Error) || !('syscall' in error) || error.syscall !== 'listen') return null;
  // A missing folder, too, is reported as "permission denied".
  if (socketPath !== null)
    return existsSync(dirname(socketPath))
      ? `UNIX_SOCKET: ${error.message}`
      : `UNIX_SOCKET: the folder of ${socketPath} is not there`;
  if (hasCode(error, 'EADDRINUSE'))
    return `PORT: ${error.message}; ss -ltnp 'sport = :${port}' names the program that has it`;
  return hasCode(error, 'EACCES')
    ? `PORT: ${error.message}; those below 1024 need a right of their own`
    : `HOST: ${error.message}; ip address shows what ${host} may be`;
}
