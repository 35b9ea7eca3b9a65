/**
 * Whole disks, not their partitions: vda, sdb, xvdc, vdaa, nvme0n1, … Whether one may be the disk of a volume
 * is not in its name (see ./disk-connection.ts).
 */
export const DEVICE_NAME = /^(vd|sd|xvd|hd)[a-z]{1,6}$|^nvme\d{1,4}n\d{1,4}$/;

/** vdb < vdz < vdaa: the order in which the kernel names them. */
export function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  if (a.name.length !== b.name.length) return a.name.length - b.name.length;
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}
