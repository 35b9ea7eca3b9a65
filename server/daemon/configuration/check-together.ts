import { isIP } from 'node:net';
import { isLoopback } from '../../core/is-loopback';

/** One mistake: the variable and what is wrong with it. Never contains the value of a secret. */
export interface Problem {
  readonly variable: string;
  readonly message: string;
}

/** What is looked at of the configuration. */
interface Together {
  readonly http: {
    readonly host: string;
    readonly port: number;
    readonly socketPath: string | null;
    readonly tokenFile: string | null;
    readonly tokensFile: string | null;
    readonly allowInsecureBind: boolean;
  };
  readonly exports: {
    readonly backend: string;
    readonly host: string;
    readonly port: number;
    readonly readOnlyPort: number;
    readonly tls: string;
    readonly maxBytesPerSecond: number;
  };
}

/** Mistakes that only several variables make together. */
export function checkTogether({ http, exports }: Together, problems: Problem[]): void {
  checkBind(http, problems);
  checkNbdkitOnly(exports, problems);
  if (exports.backend === 'nbdkit') checkPorts(http, exports, problems);
}

/**
 * Without a token anybody who can connect may detach and delete volumes, so then only loopback is allowed by
 * default.
 */
function checkBind(http: Together['http'], problems: Problem[]): void {
  const asksForToken = http.tokenFile !== null || http.tokensFile !== null;
  if (http.socketPath !== null || isLoopback(http.host) || asksForToken || http.allowInsecureBind) return;
  problems.push({
    variable: 'HOST',
    message: `${http.host} is not a loopback address: set TOKENS_FILE or TOKEN_FILE, or ALLOW_INSECURE_BIND=true if the network is trusted`,
  });
}

/**
 * An export that was to be encrypted, or slowed down, must not come up otherwise because
 * another server was chosen.
 */
function checkNbdkitOnly(
  { backend, tls, maxBytesPerSecond }: Together['exports'],
  problems: Problem[],
): void {
  if (backend === 'nbdkit') return;
  const needs = `needs NBD_BACKEND=nbdkit (it is ${backend}): the daemon gives no other export server`;
  if (tls !== 'off') problems.push({ variable: 'NBD_TLS', message: `${tls} ${needs} keys` });
  if (maxBytesPerSecond > 0)
    problems.push({ variable: 'NBD_MAX_BYTES_PER_SECOND', message: `${maxBytesPerSecond} ${needs} a limit` });
}

/**
 * The port that is taken already is refused to the second one only when it starts to listen, and with less to
 * go by.
 */
function checkPorts(http: Together['http'], exports: Together['exports'], problems: Problem[]): void {
  const taken = (variable: string, port: number, by: string) =>
    problems.push({ variable, message: `${port} is ${by} too: each needs a port of its own` });
  const { port, readOnlyPort } = exports;
  if (port === readOnlyPort) taken('NBD_READ_ONLY_PORT', readOnlyPort, 'NBD_PORT');
  if (http.socketPath !== null || !mayMeet(http.host, exports.host)) return;
  if (port === http.port) taken('NBD_PORT', port, 'PORT');
  if (readOnlyPort === http.port) taken('NBD_READ_ONLY_PORT', readOnlyPort, 'PORT');
}

/** Two different addresses may have the same port, unless one of them stands for all. */
function mayMeet(one: string, other: string): boolean {
  const isSingle = (host: string) => isIP(host) !== 0 && host !== '0.0.0.0' && host !== '::';
  return one === other || !isSingle(one) || !isSingle(other);
}
