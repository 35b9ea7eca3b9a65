import { type BigIntStats, existsSync, readlinkSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as breathe } from 'node:timers/promises';
import { mapConcurrent } from '../../core/concurrency/map-concurrent';
import { messageOf } from '../../core/errors';
import { hasCode } from '../../core/has-code';
import { LIMITS } from '../../core/limits';
import type { ClientState, Holder } from '../device';
import type { BlockTarget } from './block-target';
import { IO_URING, leadsToDisk, mappedFiles, registeredFiles } from './hidden-opens';
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
 * Adds to each disk the processes that have it open, by device number, whatever the node is called, and those
 * that use it without a descriptor (./hidden-opens.ts). Processes that may not be looked into, and a search
 * that has to stop at its bounds, are gaps.
 */
export async function findDescriptors(
  { procDir, ignoredPids, exportClients }: Sources,
  subjects: readonly Subject[],
  isRemotePath: (path: string) => boolean,
  gaps: Gaps,
): Promise<void> {
  const closed: Gaps = [];
  const { paths, holding } = await lookAtProcesses({ procDir, ignoredPids }, subjects, isRemotePath, {
    closed,
    gaps,
  });
  // Asking one after another costs a turn of the thread pool each; not all at once, since one may hang.
  const statuses = await mapConcurrent(paths, LIMITS.DESCRIPTORS_AT_ONCE, ({ link }) => opened(link));
  const forbidden = new Map<string, string>();
  for (const [index, { pid, descriptor }] of paths.entries()) {
    const status = statuses[index] ?? null;
    if (status instanceof Error) forbidden.set(pid, status.message);
    if (status === null || status instanceof Error) continue;
    for (const { target, found } of subjects)
      if (target.isNode(status)) holding.push({ found, pid, by: { descriptor } });
  }
  closed.push(...forbidden.values());
  // Asked last, so that a client who came during the look is known; most disks are open nowhere.
  const serving = holding.length === 0 ? new Map<string, ClientState>() : await exportClients();
  for (const { found, pid, by } of holding)
    if (!('descriptor' in by) || existsSync(join(procDir, pid, 'fd', by.descriptor)))
      found.push(describe(procDir, pid, by, serving));
  const [first] = closed;
  if (first !== undefined) gaps.push(`open files of ${closed.length} process(es) cannot be seen: ${first}`);
}

interface OpenPath {
  readonly pid: string;
  readonly descriptor: string;
  /** `/proc/<pid>/fd/<descriptor>` */
  readonly link: string;
}

/** How a process uses a disk. */
type Use = { readonly descriptor: string } | { readonly how: string; readonly readOnly: boolean };

interface Holding {
  readonly found: Holder[];
  readonly pid: string;
  readonly by: Use;
}

/** The descriptors that have a path, and the uses that need none. Nothing but /proc is touched. */
async function lookAtProcesses(
  { procDir, ignoredPids }: Pick<Sources, 'procDir' | 'ignoredPids'>,
  subjects: readonly Subject[],
  isRemotePath: (path: string) => boolean,
  { closed, gaps }: { readonly closed: Gaps; readonly gaps: Gaps },
): Promise<{ readonly paths: OpenPath[]; readonly holding: Holding[] }> {
  const paths: OpenPath[] = [];
  const holding: Holding[] = [];
  const targets = subjects.map(({ target }) => target);
  let budget: number = LIMITS.HOLDER_DESCRIPTORS;
  let turn = budget;
  const pids = processes(procDir, gaps).filter((pid) => !ignoredPids.has(Number(pid)));
  for (const { task: pid, descriptors } of tablesOf(procDir, pids, closed)) {
    if (turn - budget > LIMITS.DESCRIPTORS_AT_A_STRETCH) {
      await breathe();
      turn = budget;
    }
    const dir = join(procDir, pid, 'fd');
    budget -= descriptors.length;
    if (budget < 0) {
      gaps.push(`more than ${LIMITS.HOLDER_DESCRIPTORS} files are open, not all were looked at`);
      break;
    }
    const hidden = mappedFiles(procDir, pid, targets, closed);
    for (const descriptor of descriptors) {
      const link = join(dir, descriptor);
      const path = pathOf(link);
      if (path instanceof Error) closed.push(path.message);
      // One that may not be followed says that none of this process may.
      if (path instanceof Error) break;
      if (path === IO_URING) hidden.push(...registeredFiles(procDir, pid, descriptor, closed));
      // Sockets, pipes and anonymous inodes have no path; a file on a server that hangs is not ours to touch.
      if (path === null || !path.startsWith('/') || isRemotePath(path)) continue;
      paths.push({ pid, descriptor, link });
    }
    for (const one of hidden)
      for (const { target, found } of subjects)
        if (leadsToDisk(one, target)) holding.push({ found, pid, by: one });
  }
  return { paths, holding };
}

/**
 * The open files of each process, read as they are asked for. A process whose first thread has ended shows
 * none, while its other threads go on with them: then those of the threads.
 */
function* tablesOf(
  procDir: string,
  pids: readonly string[],
  closed: Gaps,
): Generator<{ readonly task: string; readonly descriptors: readonly string[] }> {
  const table = (task: string) => ({ task, descriptors: listFolder(join(procDir, task, 'fd'), closed) });
  for (const pid of pids) {
    const own = table(pid);
    yield own;
    if (own.descriptors.length > 0) continue;
    for (const thread of listFolder(join(procDir, pid, 'task'), closed))
      if (thread !== pid) yield table(join(pid, 'task', thread));
  }
}

/** The text of the link; null when it is closed meanwhile, the error when it may not be read. */
function pathOf(link: string): string | Error | null {
  try {
    return readlinkSync(link);
  } catch (error) {
    return forbids(error);
  }
}

/**
 * What a descriptor leads to; null when it is closed meanwhile, the error when it may not be followed. It
 * follows the descriptor itself, not its path: right for deleted nodes, other mount namespaces and links.
 */
async function opened(link: string): Promise<BigIntStats | Error | null> {
  try {
    return await stat(link, { bigint: true });
  } catch (error) {
    // Other errors are those of a file on a file system that has failed: a descriptor on a disk answers.
    return forbids(error);
  }
}

function forbids(error: unknown): Error | null {
  return hasCode(error, 'EACCES', 'EPERM') ? new Error(messageOf(error)) : null;
}

function describe(procDir: string, pid: string, by: Use, serving: ReadonlyMap<string, ClientState>): Holder {
  const command = labelIn(join(procDir, pid, 'comm'));
  const detail = `pid ${pid} (${command === '' ? 'unknown' : command})`;
  const client = serving.get(processIdentity(procDir, Number(pid)));
  if (client === 'leaving')
    return { kind: 'nbd-client', detail: `${detail}, whose client has left`, leaving: true };
  if (client === 'connected') return { kind: 'nbd-client', detail };
  if ('how' in by) return open(`${detail}, ${by.how}`, by.readOnly);
  const info = readTable(join(procDir, pid, 'fdinfo', by.descriptor), []) ?? '';
  const flags = /^flags:\s*([0-7]+)$/m.exec(info)?.[1];
  return open(detail, flags !== undefined && (Number.parseInt(flags, 8) & ACCESS_MODE) === 0);
}

function open(detail: string, readOnly: boolean): Holder {
  return readOnly ? { kind: 'open', detail, readOnly: true } : { kind: 'open', detail };
}
