import { join } from 'node:path';
import type { Holder } from '../device';
import { type BlockTarget, leadsTo } from './block-target';
import { type Gaps, labelIn, listFolder } from './kernel-files';

/** A disk that the kernel itself serves to others. */
export interface KernelTarget {
  /** For people: `target/core/fileio_0/backup`. */
  readonly name: string;
  readonly path: string;
}

/**
 * Where the kernel's servers say what they serve: iSCSI and its like (LIO), NVMe over fabrics, USB gadgets.
 */
const PLACES: readonly (readonly string[])[] = [
  ['target/core', '*', '*', 'udev_path'],
  ['nvmet/subsystems', '*', 'namespaces', '*', 'device_path'],
  ['usb_gadget', '*', 'functions', '*', '*', 'file'],
];

/**
 * What the kernel's own storage servers have open. They do so inside the kernel: no process has a
 * descriptor, and most of them claim nothing. `configDir` is `/sys/kernel/config`; without it there is none.
 * `devDir` stands for /dev.
 */
export function readKernelTargets(configDir: string, devDir: string, gaps: Gaps): KernelTarget[] {
  return PLACES.flatMap((parts) => expand(configDir, '', parts, gaps))
    .map((file) => ({ name: file.slice(0, file.lastIndexOf('/')), path: labelIn(join(configDir, file)) }))
    .filter(({ path }) => path.startsWith('/dev/'))
    .map(({ name, path }) => ({ name, path: join(devDir, path.slice('/dev/'.length)) }));
}

/** Those that serve this disk or a part of it. */
export function servedBy(targets: readonly KernelTarget[], target: BlockTarget): Holder[] {
  return targets
    .filter(({ path }) => leadsTo(path, target))
    .map(({ name, path }) => ({ kind: 'holder', detail: `the kernel serves ${path} as ${name}` }));
}

/** The files below `dir` that the parts of a pattern lead to. */
function expand(root: string, dir: string, [part, ...rest]: readonly string[], gaps: Gaps): string[] {
  if (part === undefined) return [dir];
  const here = listFolder(join(root, dir), gaps);
  const names = part === '*' ? here : [part];
  return names.flatMap((name) => expand(root, join(dir, name), rest, gaps));
}
