import { type BigIntStats, existsSync, readlinkSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../core/errors';
import { hasCode } from '../../core/has-code';
import { LIMITS } from '../../core/limits';
import type { ClientState, Holder } from '../device';
import type { BlockTarget } from './block-target';
import { type Gaps, labelIn, listFolder, processes, processIdentity, readTable } from './kernel-files';

/** The two lowest bits of the flags of open(2): 0 is reading only. */
const ACCESS_MODE = 0o3;

interface Sources {
  readonly procDir: string;
  readonly ignoredPids: ReadonlySet<number>;
  /** Processes that serve a client of our exports (`processIdentity`). */
  readonly exportClients: () => Promise<ReadonlyMap<string, ClientState>>;
}

/** One disk of a look, and what has been found so far. */
export interface Subject {
  readonly target: BlockTarget;
  readonly found: Holder[];
}

/**
 * Adds to each disk the processes that have it open, by device number, whatever the node is called. Processes
 * that may not be looked into, and a search that has to stop at its bounds, are gaps.
 */
export async function findDescriptors(
  { procDir, ignoredPids, exportClients }: Sources,
  subjects: readonly Subject[],
  isRemotePath: (path: string) => boolean,
  gaps: Gaps,
): Promise<void> {
  const closed: Gaps = [];
  const holding: { readonly found: Holder[]; readonly pid: string; readonly descriptor: string }[] = [];
  let budget: number = LIMITS.HOLDER_DESCRIPTORS;
  const pids = processes(procDir, gaps).filter((pid) => !ignoredPids.has(Number(pid)));
  for (const { task: pid, descriptors } of pids.flatMap((one) => tablesOf(procDir, one, closed))) {
    const dir = join(procDir, pid, 'fd');
    budget -= descriptors.length;
    if (budget < 0) {
      gaps.push(`more than ${LIMITS.HOLDER_DESCRIPTORS} files are open, not all were looked at`);
      break;
    }
    for (const descriptor of descriptors) {
      const status = await opened(join(dir, descriptor), isRemotePath);
      if (status instanceof Error) closed.push(status.message);
      // One that may not be followed says that none of this process may.
      if (status instanceof Error) break;
      if (status === null) continue;
      for (const { target, found } of subjects)
        if (target.isNode(status)) holding.push({ found, pid, descriptor });
    }
  }
  // Asked last, so that a client who came during the look is known; most disks are open nowhere.
  const serving = holding.length === 0 ? new Map<string, ClientState>() : await exportClients();
  for (const { found, pid, descriptor } of holding)
    if (existsSync(join(procDir, pid, 'fd', descriptor)))
      found.push(describe(procDir, pid, descriptor, serving));
  const [first] = closed;
  if (first !== undefined) gaps.push(`open files of ${closed.length} process(es) cannot be seen: ${first}`);
}

/**
 * The open files of a process, by the folder that shows them. A process whose first thread has ended shows none,
 * while its other threads go on with them.
 */
function tablesOf(procDir: string, pid: string, closed: Gaps): { task: string; descriptors: string[] }[] {
  const table = (task: string) => ({ task, descriptors: listFolder(join(procDir, task, 'fd'), closed) });
  const own = table(pid);
  if (own.descriptors.length > 0) return [own];
  const threads = listFolder(join(procDir, pid, 'task'), closed).filter((thread) => thread !== pid);
  return threads.map((thread) => table(join(pid, 'task', thread)));
}

/**
 * What a descriptor leads to; null when it has no path, is closed meanwhile, or is not ours to touch; the error
 * when it may not be followed.
 */
async function opened(
  link: string,
  isRemotePath: (path: string) => boolean,
): Promise<BigIntStats | Error | null> {
  try {
    const path = readlinkSync(link);
    // Sockets, pipes and anonymous inodes have no path; a file on a server that hangs is not ours to touch.
    if (!path.startsWith('/') || isRemotePath(path)) return null;
    // Follows the descriptor itself, not its path: right for deleted nodes, other mount namespaces and links.
    return await stat(link, { bigint: true });
  } catch (error) {
    // Other errors are those of a file on a file system that has failed: a descriptor on a disk answers.
    return hasCode(error, 'EACCES', 'EPERM') ? new Error(messageOf(error)) : null;
  }
}

function describe(
  procDir: string,
  pid: string,
  descriptor: string,
  serving: ReadonlyMap<string, ClientState>,
): Holder {
  const command = labelIn(join(procDir, pid, 'comm'));
  const detail = `pid ${pid} (${command === '' ? 'unknown' : command})`;
  const client = serving.get(processIdentity(procDir, Number(pid)));
  if (client === 'leaving')
    return { kind: 'nbd-client', detail: `${detail}, whose client has left`, leaving: true };
  if (client === 'connected') return { kind: 'nbd-client', detail };
  const info = readTable(join(procDir, pid, 'fdinfo', descriptor), []) ?? '';
  const flags = /^flags:\s*([0-7]+)$/m.exec(info)?.[1];
  const isReader = flags !== undefined && (Number.parseInt(flags, 8) & ACCESS_MODE) === 0;
  return isReader ? { kind: 'open', detail, readOnly: true } : { kind: 'open', detail };
}
