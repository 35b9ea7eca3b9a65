/**
 * The last step of which something is known. The one that goes on has nothing before its first look, and
 * a page that asks in the rhythm of the steps would meet it so every time: the one before it is told
 * then, never an older one.
 */
export function latestStep(series: readonly ArrayLike<number | null | undefined>[]): number {
  const last = Math.max(0, ...series.map(({ length }) => length)) - 1;
  const isKnown = (step: number): boolean => series.some((points) => typeof points[step] === 'number');
  return isKnown(last) || !isKnown(last - 1) ? last : last - 1;
}
