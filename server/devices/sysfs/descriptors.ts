import { type BigIntStats, readlinkSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { LIMITS } from '../../core/limits';
import type { Holder } from '../device';
import type { BlockTarget, HolderSources } from './block-target';
import { entries, processes, readTable } from './kernel-files';

/** Each has a process for every client that opens the disk, so an open descriptor is a connected client. */
const EXPORT_SERVERS: ReadonlySet<string> = new Set(['nbdkit', 'nbd-server']);

/**
 * Processes that have the disk open, by device number, whatever the node is called. A search that has to stop
 * at its bounds is reported as a holder.
 */
export async function findDescriptors(
  { procDir, ignoredPids }: HolderSources,
  target: BlockTarget,
  remoteMounts: readonly string[],
): Promise<Holder[]> {
  const found: Holder[] = [];
  const pids = processes(procDir);
  let budget: number = LIMITS.HOLDER_DESCRIPTORS;
  for (const pid of pids) {
    if (ignoredPids.has(Number(pid))) continue;
    const dir = join(procDir, pid, 'fd');
    const descriptors = entries(dir);
    budget -= descriptors.length;
    if (budget < 0) return [...found, unfinished('descriptors', LIMITS.HOLDER_DESCRIPTORS)];
    for (const descriptor of descriptors) {
      if (!(await leadsTo(join(dir, descriptor), target, remoteMounts))) continue;
      found.push(describe(procDir, pid));
      break;
    }
  }
  if (pids.length >= LIMITS.PROCESSES_MAX) found.push(unfinished('processes', LIMITS.PROCESSES_MAX));
  return found;
}

async function leadsTo(link: string, target: BlockTarget, remoteMounts: readonly string[]): Promise<boolean> {
  const path = linkText(link);
  // Sockets, pipes and anonymous inodes have no path; a file on a server that hangs is not ours to touch.
  if (!path?.startsWith('/')) return false;
  if (
    remoteMounts.some((mount) => path === mount || path.startsWith(mount.endsWith('/') ? mount : `${mount}/`))
  ) {
    return false;
  }
  const status = await statOf(link);
  return status !== null && target.isNode(status);
}

function describe(procDir: string, pid: string): Holder {
  const command = readTable(join(procDir, pid, 'comm')).trim();
  const kind = EXPORT_SERVERS.has(command) ? 'nbd-client' : 'open';
  return { kind, detail: `pid ${pid} (${command === '' ? 'unknown' : command})` };
}

function unfinished(what: string, bound: number): Holder {
  return { kind: 'open', detail: `unknown: more than ${bound} ${what} are open, not all were looked at` };
}

function linkText(link: string): string | null {
  try {
    return readlinkSync(link);
  } catch {
    return null;
  }
}

/** Follows the descriptor itself, not its path: right for deleted nodes, other mount namespaces and links. */
function statOf(link: string): Promise<BigIntStats | null> {
  return stat(link, { bigint: true }).catch(() => null);
}
