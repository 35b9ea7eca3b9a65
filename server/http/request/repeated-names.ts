import { LIMITS } from '../../core/limits';

interface Level {
  readonly names: Set<string>;
  latest: string | null;
}

/** A string, with the colon after it when it is a name; or where an object or a list begins or ends. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"(?:\s*:)?|[{}[\]]/g;

/**
 * The names that an object gives more than once, like `metadata.purpose`. JSON.parse keeps the last value of such a
 * name and says nothing: `{"dry_run": true, "dry_run": false}` would run for real.
 *
 * @param json a valid document
 */
export function repeatedNames(json: string): readonly string[] {
  const open: Level[] = [];
  const repeated = new Set<string>();
  for (const [token] of json.matchAll(TOKEN)) {
    const inner = open.at(-1);
    if (token === '{' || token === '[') open.push({ names: new Set(), latest: null });
    else if (token === '}' || token === ']') open.pop();
    else if (inner !== undefined && token.endsWith(':')) {
      const name = String(JSON.parse(token.slice(0, token.lastIndexOf('"') + 1)));
      inner.latest = name;
      if (inner.names.has(name)) repeated.add(pathOf(open));
      inner.names.add(name);
    }
    if (repeated.size === LIMITS.FIELD_ISSUES) break;
  }
  return [...repeated];
}

/** Lists have no names. */
function pathOf(open: readonly Level[]): string {
  return open.flatMap(({ latest }) => latest ?? []).join('.');
}
