const MISTAKES_MAX = 2;

/** The known name that is at most `most` typing mistakes away; capitals are not a mistake. */
export function nearest(word: string, known: readonly string[], most = MISTAKES_MAX): string | null {
  const [best] = known
    .map((name) => ({ name, mistakes: distance(word.toLowerCase(), name.toLowerCase()) }))
    .filter(({ mistakes }) => mistakes <= most)
    .sort((a, b) => a.mistakes - b.mistakes);
  return best?.name ?? null;
}

/** Levenshtein distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
