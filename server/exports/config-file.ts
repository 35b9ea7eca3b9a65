import { DaemonError } from '../runtime/errors';

/** One section of nbd-server's configuration. Values are text; what they mean is nbd-server's business. */
export interface Section {
  readonly name: string;
  readonly values: Readonly<Record<string, string>>;
}

/**
 * Names and values go into a file that root's server reads, where a line of its own could run a command (`prerun`): a name is
 * [A-Za-z0-9._-]{1,128}, a value has no control characters, a key is one of ours.
 */
const NAME = /^[A-Za-z0-9._-]{1,128}$/;
const KEY = /^[a-z]{1,32}$/;
const VALUE_LENGTH = 4096;

/** Throws EXPORT_CONFIG_FAILED when anything could be read as something else. */
export function serialize(sections: readonly Section[]): string {
  const text = sections.map(section).join('\n');
  return `# Written by volume-daemon; changes are overwritten.\n${text}`;
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

/** GLib strips blanks around values and un-escapes backslashes, so such values would not come back as they went. */
function isPlain(value: string): boolean {
  return (
    value.length > 0 &&
    value.length <= VALUE_LENGTH &&
    value === value.trim() &&
    !/[\u0000-\u001f\u007f-\u009f\u2028\u2029\\]/.test(value)
  );
}

function refuse(what: string, value: string): DaemonError {
  return new DaemonError(
    'EXPORT_CONFIG_FAILED',
    `${what} ${JSON.stringify(value.slice(0, 80))} cannot be written into an nbd-server configuration`,
  );
}

/** Reads GLib key files as far as nbd-server uses them. Lines that are neither are reported, not guessed. Throws SyntaxError. */
export function parse(text: string): Section[] {
  const sections: { name: string; values: Record<string, string> }[] = [];
  for (const raw of text.split('\n')) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const header = /^\[([^[\]]+)\]$/.exec(line);
    if (header?.[1] !== undefined) {
      sections.push({ name: header[1], values: {} });
      continue;
    }
    const pair = /^([^=]+?)\s*=\s*(.*)$/.exec(line);
    const current = sections.at(-1);
    if (!pair?.[1] || !current)
      throw new SyntaxError(`not a key of a section: ${JSON.stringify(line.slice(0, 80))}`);
    current.values[pair[1]] = pair[2] ?? '';
  }
  return sections;
}

/** The section of one export. Flush and FUA are not offered by default, and without them a client's fsync means nothing. */
export function exportSection(name: string, linkPath: string): Section {
  return {
    name,
    values: {
      exportname: linkPath,
      readonly: 'false',
      multifile: 'false',
      copyonwrite: 'false',
      flush: 'true',
      fua: 'true',
    },
  };
}

/** A base configuration that nbd-server starts with although nothing is exported yet: it refuses an empty one. */
export function baseConfig(options: { port: number; configDir: string; listen: string | null }): string {
  const generic = {
    ...(options.listen === null ? {} : { listenaddr: options.listen }),
    port: String(options.port),
    allowlist: 'true',
    includedir: options.configDir,
  };
  return serialize([
    { name: 'generic', values: generic },
    { name: 'placeholder', values: { exportname: '/dev/null', readonly: 'true' } },
  ]);
}
