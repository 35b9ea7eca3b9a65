import { basename } from 'node:path';

/**
 * Second names (hard links) of the nodes of exported disks, `<diskseq>.<device>.<export>`. The udev rule that
 * closes links knows this folder, too (docs/reference/exports.md).
 */
export const SECOND_NAMES = '/dev/volume-daemon';

/** The device that such a name, or a link of the same name, is about; '' when it is none. */
export function deviceIn(path: string): string {
  return /^\d+\.([^.]+)\./.exec(basename(path))?.[1] ?? '';
}
