import { LIMITS } from '../../core/limits';

interface Level {
  readonly names: Set<string>;
  /** The names that lead here; the beginning of them where they are long. */
  readonly path: string;
  latest: string | null;
}

/** More of a path is shown to nobody, and to make it anew for every name took seconds where it is deep. */
const PATH_CHARACTERS = 64;

/** A string, with the colon after it when it is a name; or where an object or a list begins or ends. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"(?:\s*:)?|[{}[\]]/g;

/**
 * The names that an object gives more than once, like `metadata.purpose`. JSON.parse keeps the last value of
 * such a name and says nothing: `{"dry_run": true, "dry_run": false}` would run for real.
 *
 * @param json a valid document
 */
export function repeatedNames(json: string): readonly string[] {
  const open: Level[] = [];
  const repeated = new Set<string>();
  for (const [token] of json.matchAll(TOKEN)) {
    const inner = open.at(-1);
    if (token === '{' || token === '[') open.push({ names: new Set(), path: pathIn(inner), latest: null });
    else if (token === '}' || token === ']') open.pop();
    else if (inner !== undefined && token.endsWith(':')) {
      const name = String(JSON.parse(token.slice(0, token.lastIndexOf('"') + 1)));
      inner.latest = name;
      if (inner.names.has(name)) repeated.add(joined(inner.path, name));
      inner.names.add(name);
    }
    if (repeated.size === LIMITS.FIELD_ISSUES) break;
  }
  return [...repeated];
}

/** The path of what begins inside of this. Lists have no names. */
function pathIn(outer: Level | undefined): string {
  if (outer === undefined) return '';
  return outer.latest === null ? outer.path : joined(outer.path, outer.latest).slice(0, PATH_CHARACTERS);
}

function joined(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`;
}
