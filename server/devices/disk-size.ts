/**
 * How the size of a disk relates to that of its volume. `fits`: as large as the volume, or larger by at most
 * the tolerance, because some storage rounds up. `unknown`: CloudStack does not say how large the volume is.
 */
export type SizeFit = 'fits' | 'smaller' | 'larger' | 'unknown';

/** Compares bytes with bytes. A disk that is one sector too small is `smaller`. Pure. */
export function compareSize(diskBytes: number, volumeBytes: number | null, toleranceBytes: number): SizeFit {
  if (volumeBytes === null) return 'unknown';
  if (diskBytes < volumeBytes) return 'smaller';
  return diskBytes <= volumeBytes + toleranceBytes ? 'fits' : 'larger';
}

/** What an operator does about a disk of the wrong size, as the end of a sentence. */
export function sizeRemedy(fit: Exclude<SizeFit, 'fits'>, path: string, volumeId: string): string {
  const compare = `compare: lsblk -b ${path}, and cmk list volumes id=${volumeId} filter=size`;
  switch (fit) {
    case 'smaller':
      return (
        `${compare}. After a resize in CloudStack the hypervisor has not told this guest: detach the volume and ` +
        'attach it again, or stop and start this VM. It is exported by itself once the guest shows the size. ' +
        'A volume that its disk offering encrypts may stay smaller for good (PowerFlex): take an offering without encryption'
      );
    case 'larger':
      return (
        `${compare}. After a shrink in CloudStack detach the volume and attach it again; ` +
        'where storage rounds up by more, raise SIZE_TOLERANCE'
      );
    case 'unknown':
      return `${compare}. CloudStack does not say how large the volume is; nothing is done until it does`;
    default:
      return fit satisfies never;
  }
}
