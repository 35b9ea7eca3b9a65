/**
 * Whether the database takes two names for the same: case, accents and trailing spaces do not
 * count, leading spaces do.
 */
export function namesMatch(a: string, b: string): boolean {
  return a === b || folded(a) === folded(b);
}

function folded(name: string): string {
  return name.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase().replace(/ +$/, '');
}
