import { parseArgs } from 'node:util';
import { TLS_MODES, type TlsMode } from '../export-choices';

/** What the holder is told (docs/reference/exports.md). */
export interface HolderOptions {
  readonly exportsDir: string;
  readonly readOnlyDir: string;
  /** address:port of each door, when it makes the sockets itself. */
  readonly listen: readonly (string | undefined)[];
  readonly pidFile: string | undefined;
  readonly nbdkit: string;
  readonly tls: TlsMode;
  readonly tlsDir: string;
  readonly maxConnections: number;
  readonly maxPerExport: number;
  readonly maxBytesPerSecond: number;
  readonly handshakeMs: number;
}

/**
 * Reads the command line. The unit passes settings as they stand in the environment file, so an empty one is
 * an unset one, and spaces and case count as little as for the daemon
 * (server/daemon/configuration/values.ts): a value that the daemon accepts must not leave the exports without
 * a server. Throws an Error that names the option.
 */
export function readHolderOptions(args: readonly string[]): HolderOptions {
  const { values } = parseArgs({ args: [...args], options: OPTIONS });
  const text = (name: keyof typeof values) => values[name] || undefined;
  const needed = (name: keyof typeof values) => {
    const value = text(name);
    if (value === undefined) throw new Error(`--${name} is missing`);
    return value;
  };
  const number = (name: keyof typeof values, fallback: number, least = 1) => {
    const value = (text(name) ?? String(fallback)).trim();
    if (!/^\d+$/.test(value) || Number(value) < least)
      throw new Error(`--${name} must be a number from ${least} on`);
    return Number(value);
  };
  return {
    exportsDir: needed('exports'),
    readOnlyDir: needed('exports-read-only'),
    listen: [text('listen'), text('listen-read-only')],
    pidFile: text('pid-file'),
    nbdkit: text('nbdkit') ?? 'nbdkit',
    tls: tlsMode(text('tls') ?? 'off'),
    tlsDir: text('tls-dir') ?? '/etc/volume-daemon/tls',
    maxConnections: number('max-connections', 64),
    maxPerExport: number('max-per-export', 16),
    maxBytesPerSecond: number('max-bytes-per-second', 0, 0),
    handshakeMs: number('handshake-ms', 10_000),
  };
}

/** What a daemon and the holder of its exports must agree on. */
type SharedSettings = Pick<
  HolderOptions,
  'tls' | 'tlsDir' | 'maxConnections' | 'maxPerExport' | 'maxBytesPerSecond'
>;

/** The variables that a holder with this command line was given other values of. */
export function differingSettings(args: readonly string[], wanted: SharedSettings): string[] {
  const given = readHolderOptions(args);
  return [
    ...(given.tls === wanted.tls ? [] : ['NBD_TLS']),
    ...(wanted.tls === 'off' || given.tlsDir.replace(/\/+$/, '') === wanted.tlsDir ? [] : ['NBD_TLS_DIR']),
    ...(given.maxConnections === wanted.maxConnections ? [] : ['NBD_MAX_CONNECTIONS']),
    ...(given.maxPerExport === wanted.maxPerExport ? [] : ['NBD_MAX_PER_EXPORT']),
    ...(given.maxBytesPerSecond === wanted.maxBytesPerSecond ? [] : ['NBD_MAX_BYTES_PER_SECOND']),
  ];
}

const OPTIONS = {
  exports: { type: 'string' },
  listen: { type: 'string' },
  'exports-read-only': { type: 'string' },
  'listen-read-only': { type: 'string' },
  'pid-file': { type: 'string' },
  nbdkit: { type: 'string' },
  tls: { type: 'string' },
  'tls-dir': { type: 'string' },
  'max-connections': { type: 'string' },
  'max-per-export': { type: 'string' },
  'max-bytes-per-second': { type: 'string' },
  'handshake-ms': { type: 'string' },
} as const;

function tlsMode(text: string): TlsMode {
  const mode = TLS_MODES.find((one) => one === text.trim().toLowerCase());
  if (mode !== undefined) return mode;
  throw new Error('--tls must be off, on or require');
}
