import { join } from 'node:path';
import { DEVICE_NAME } from './device-names';
import { entries, readSmall, readTable } from './kernel-files';
import { parseMountinfo } from './mounts';

/** How deep device-mapper and md may be stacked below `/`. */
const STACK_DEPTH = 8;

/**
 * The virtio disks that hold `/`, through partitions, LVM and md. An empty set when `/` is on something else;
 * null when the guest does not say (a lab, a container on an overlay).
 */
export function findRootDisks(where: {
  readonly sysBlockDir: string;
  readonly procDir: string;
}): Set<string> | null {
  const [root] = parseMountinfo(readTable(join(where.procDir, 'self/mountinfo')))
    .filter(({ target }) => target === '/')
    .reverse();
  if (!root) return null;
  const { sysBlockDir } = where;
  const found = new Set<string>();
  let known = false;
  const follow = (disk: string, depth: number): void => {
    known = true;
    if (DEVICE_NAME.test(disk)) found.add(disk);
    if (depth === 0) return;
    for (const below of entries(join(sysBlockDir, disk, 'slaves'))) {
      const owner = diskOf(sysBlockDir, (name) => name === below);
      if (owner) follow(owner, depth - 1);
    }
  };
  const source = root.source.startsWith('/dev/') ? root.source.slice('/dev/'.length) : null;
  const disk = diskOf(
    sysBlockDir,
    (name, dir) => name === source || readSmall(join(dir, 'dev')) === root.dev,
  );
  if (disk) follow(disk, STACK_DEPTH);
  return known ? found : null;
}

/** The whole disk of the first disk or partition that matches. */
function diskOf(sysBlockDir: string, matches: (name: string, dir: string) => boolean): string | null {
  for (const disk of entries(sysBlockDir)) {
    const dir = join(sysBlockDir, disk);
    if (matches(disk, dir)) return disk;
    const inside = entries(dir).filter((name) => name.startsWith(disk));
    if (inside.some((name) => matches(name, join(dir, name)))) return disk;
  }
  return null;
}
