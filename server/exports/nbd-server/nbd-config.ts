import { DaemonError } from '../../core/errors';
import { isLoopback } from '../../core/is-loopback';
import { volumeIdOf } from '../../model/export-name';

/** One section of nbd-server's configuration. Values are text; what they mean is nbd-server's business. */
export interface Section {
  readonly name: string;
  readonly values: Readonly<Record<string, string>>;
}

/**
 * A server that runs as root reads this file, and an injected line could run a command (`prerun`). So a name
 * is [A-Za-z0-9._-]{1,128}, a value has no control characters, and only the keys that we write are allowed.
 */
const NAME = /^[A-Za-z0-9._-]{1,128}$/;
const KEY = /^(exportname|readonly|multifile|copyonwrite|flush|fua|listenaddr|port|allowlist|includedir)$/;
const VALUE_LENGTH = 4096;
const HEADING = '# Written by volume-daemon; changes are overwritten.\n';

/** The text of these sections. Throws EXPORT_CONFIG_FAILED when anything could be read as something else. */
export function serialize(sections: readonly Section[]): string {
  return HEADING + sections.map(section).join('\n');
}

function section({ name, values }: Section): string {
  if (!NAME.test(name)) throw refuse('the export name', name);
  const lines = Object.entries(values).map(([key, value]) => {
    if (!KEY.test(key)) throw refuse('the key', key);
    if (!isPlain(value)) throw refuse(`the value of ${key}`, value);
    return `\t${key} = ${value}\n`;
  });
  return `[${name}]\n${lines.join('')}`;
}

/** GLib strips blanks and un-escapes backslashes, so values with them would not read back the same. */
function isPlain(value: string): boolean {
  return (
    value.length > 0 &&
    value.length <= VALUE_LENGTH &&
    value === value.trim() &&
    // A lone surrogate has no UTF-8 form.
    Buffer.from(value, 'utf8').toString('utf8') === value &&
    !/[\u0000-\u001f\u007f-\u009f\u2028\u2029\\]/.test(value)
  );
}

function refuse(what: string, value: string): DaemonError {
  return new DaemonError(
    'EXPORT_CONFIG_FAILED',
    `${what} ${JSON.stringify(value.slice(0, 80))} cannot be written into an nbd-server configuration`,
  );
}

/**
 * Reads GLib key files as far as nbd-server uses them; a repeated section continues. Throws SyntaxError for a
 * line that nbd-server would refuse, too.
 */
export function parse(text: string): Section[] {
  const sections = new Map<string, Map<string, string>>();
  let current: Map<string, string> | null = null;
  for (const raw of text.split('\n')) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const header = /^\[([^[\]]+)\]$/.exec(line)?.[1];
    if (header !== undefined) {
      current = sections.get(header) ?? new Map<string, string>();
      sections.set(header, current);
      continue;
    }
    const at = line.indexOf('=');
    if (at < 1 || !current)
      throw new SyntaxError(`not a key of a section: ${JSON.stringify(line.slice(0, 80))}`);
    current.set(line.slice(0, at).trim(), line.slice(at + 1).trim());
  }
  return [...sections].map(([name, values]) => ({ name, values: Object.fromEntries(values) }));
}

/**
 * The section of one export. Flush and FUA must be offered, or a client's fsync means nothing. Throws
 * EXPORT_CONFIG_FAILED for a name that is not a volume's, such as `generic`.
 */
export function exportSection(name: string, linkPath: string, readOnly = false): Section {
  if (volumeIdOf(name) === null) throw refuse('the export name', name);
  return {
    name,
    values: {
      exportname: linkPath,
      readonly: String(readOnly),
      multifile: 'false',
      copyonwrite: 'false',
      flush: 'true',
      fua: 'true',
    },
  };
}

export interface BaseOptions {
  /** It listens on all addresses unless this is loopback's. */
  readonly host: string;
  readonly port: number;
  /** Folder of the export files; only `migration-vol-*.conf` in it are ours. */
  readonly configDir: string;
}

/**
 * A base configuration that nbd-server starts with although nothing is exported yet: it refuses an empty one.
 */
export function baseConfig({ host, port, configDir }: BaseOptions): string {
  const generic = {
    ...(isLoopback(host) && { listenaddr: host }),
    port: String(port),
    allowlist: 'true',
    includedir: configDir,
  };
  return serialize([
    { name: 'generic', values: generic },
    { name: 'placeholder', values: { exportname: '/dev/null', readonly: 'true' } },
  ]);
}

const DEFAULT_PORT = '10809';

/**
 * What keeps an existing base configuration from doing its job, in words for its owner; empty = nothing. We
 * never change a base configuration that somebody else wrote.
 */
export function baseProblems(text: string, { port, configDir }: BaseOptions): string[] {
  let sections: Section[];
  try {
    sections = parse(text);
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)];
  }
  const generic = sections.find(({ name }) => name === 'generic')?.values ?? {};
  const folder = generic.includedir?.replace(/\/+$/, '');
  const problems: string[] = [];
  if (folder !== configDir.replace(/\/+$/, ''))
    problems.push(`[generic] needs includedir = ${configDir}${folder ? ` (it has ${folder})` : ''}`);
  if ((generic.port ?? DEFAULT_PORT) !== String(port))
    problems.push(
      `[generic] has port ${generic.port ?? DEFAULT_PORT}, the daemon expects ${port} (NBD_PORT)`,
    );
  if (!sections.some(({ name }) => name !== 'generic'))
    problems.push('it needs one export of its own: nbd-server does not start without any');
  return problems;
}
