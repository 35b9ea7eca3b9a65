/** Virtio disks: vda … vdz, vdaa, … (not their partitions). */
export const DEVICE_NAME = /^vd[a-z]{1,6}$/;

/** vdb < vdz < vdaa: the order in which the kernel names them. */
export function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  if (a.name.length !== b.name.length) return a.name.length - b.name.length;
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}
