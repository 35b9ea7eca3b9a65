/** Bytes of a GiB, the unit in which CloudStack takes the sizes of volumes (its API calls it GB). */
export const GIB = 1024 ** 3;

/** What CloudStack is asked for: the least whole number of GiB that holds these bytes. */
export function wholeGiB(bytes: number): number {
  return Math.ceil(bytes / GIB);
}
