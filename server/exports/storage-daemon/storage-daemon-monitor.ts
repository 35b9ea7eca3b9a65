import { z } from 'zod';
import type { Clock } from '../../core/clock';
import { KeyedMutex } from '../../core/concurrency/keyed-mutex';
import { LIMITS } from '../../core/limits';
import { unhealthy } from '../export-errors';
import { volumeIdOf } from '../naming';
import { type Qmp, QmpError, withQmp } from './qmp';

/** One of our exports as qemu-storage-daemon has it. */
export interface StorageExport {
  /** Of the block export: the name and the plug of the disk (`migration-vol-<uuid>.<diskseq>`). */
  readonly id: string;
  readonly name: string;
  readonly volumeId: string;
  /** Which plug of the disk was opened; null where the kernel does not count them. */
  readonly diskseq: number | null;
  readonly node: string;
  /** What was opened, null when the node has gone. */
  readonly path: string | null;
  readonly shuttingDown: boolean;
}

const exportsAnswer = z.array(
  z.object({ id: z.string(), 'node-name': z.string(), type: z.string(), 'shutting-down': z.boolean() }),
);
const nodesAnswer = z.array(
  z.object({ 'node-name': z.string().optional(), image: z.object({ filename: z.string() }) }),
);
const versionAnswer = z.object({
  qemu: z.object({ major: z.number(), minor: z.number(), micro: z.number() }),
});
const nothing = z.object({});

/**
 * The name of the block node of a volume. QEMU allows 31 characters and a UUID has 32 hexadecimal digits, so
 * it is written to base 36: short enough, and still unique.
 */
export function nodeName(volumeId: string): string {
  return `v${BigInt(`0x${volumeId.replaceAll('-', '')}`).toString(36)}`;
}

const NODE = /^v[0-9a-z]{1,25}$/;
const ID = /^(.*)\.(\d{1,16}|x)$/;

function exportId(name: string, diskseq: number | null): string {
  return `${name}.${diskseq ?? 'x'}`;
}

/** QMP commands of qemu-storage-daemon, as this backend uses them. One conversation at a time. */
export class StorageDaemonMonitor {
  private readonly queue = new KeyedMutex();

  constructor(private readonly path: string) {}

  /** Throws QmpError. */
  talk<T>(work: (commands: StorageDaemonCommands) => Promise<T>): Promise<T> {
    const options = {
      path: this.path,
      timeoutMs: LIMITS.QMP_TIMEOUT_MS,
      maxBytes: LIMITS.QMP_ANSWER_BYTES,
    };
    return this.queue.run('monitor', () => withQmp(options, (qmp) => work(new StorageDaemonCommands(qmp))));
  }
}

export class StorageDaemonCommands {
  constructor(private readonly qmp: Qmp) {}

  async version(): Promise<string> {
    const { qemu } = await this.qmp.execute('query-version', versionAnswer);
    return `${qemu.major}.${qemu.minor}.${qemu.micro}`;
  }

  /** Our exports; those of others are left alone. */
  async exports(): Promise<StorageExport[]> {
    const exports = await this.qmp.execute('query-block-exports', exportsAnswer);
    const nodes = await this.nodes();
    return exports.flatMap((one) => {
      const [, name = '', diskseq = 'x'] = ID.exec(one.id) ?? [];
      const volumeId = volumeIdOf(name);
      if (volumeId === null || one.type !== 'nbd') return [];
      const node = one['node-name'];
      return {
        id: one.id,
        name,
        volumeId,
        diskseq: diskseq === 'x' ? null : Number(diskseq),
        node,
        path: nodes.get(node) ?? null,
        shuttingDown: one['shutting-down'],
      };
    });
  }

  /** The export of a volume, and whether its disk is open (after a crash also without an export). */
  async state(name: string, volumeId: string): Promise<{ found: StorageExport | null; open: boolean }> {
    const found = (await this.exports()).find((one) => one.name === name) ?? null;
    return { found, open: found !== null || (await this.nodes()).has(nodeName(volumeId)) };
  }

  /** Nodes of ours that no export uses: what a crash between two commands left behind. */
  async leftovers(): Promise<string[]> {
    const used = new Set((await this.exports()).map(({ node }) => node));
    return [...(await this.nodes()).keys()].filter((node) => NODE.test(node) && !used.has(node));
  }

  /** Opens the disk. The server keeps it open until the node is removed. */
  async open(volumeId: string, path: string, isBlockDevice: boolean): Promise<void> {
    await this.qmp.execute('blockdev-add', nothing, {
      'node-name': nodeName(volumeId),
      driver: isBlockDevice ? 'host_device' : 'file',
      filename: path,
      'read-only': false,
    });
  }

  async close(node: string): Promise<void> {
    await this.qmp.execute('blockdev-del', nothing, { 'node-name': node });
  }

  /** Offers an opened disk to clients. */
  async offer(name: string, volumeId: string, diskseq: number | null): Promise<void> {
    await this.qmp.execute('block-export-add', nothing, {
      type: 'nbd',
      id: exportId(name, diskseq),
      'node-name': nodeName(volumeId),
      name,
      writable: true,
    });
  }

  /** `safe` is refused while a client is connected, `hard` cuts it. Resolves before it is done. */
  async withhold(id: string, mode: 'safe' | 'hard'): Promise<void> {
    await this.qmp.execute('block-export-del', nothing, { id, mode });
  }

  /** Lets the server listen. A second time is refused. */
  async listen(host: string, port: number): Promise<void> {
    await this.qmp.execute('nbd-server-start', nothing, {
      addr: { type: 'inet', data: { host, port: String(port) } },
    });
  }

  private async nodes(): Promise<Map<string, string>> {
    const nodes = await this.qmp.execute('query-named-block-nodes', nodesAnswer, { flat: true });
    return new Map(
      nodes.flatMap((node) => (node['node-name'] ? [[node['node-name'], node.image.filename] as const] : [])),
    );
  }
}

/** The refusal of a command, null when it was done. Throws every other QmpError. */
export async function refusalOf(command: Promise<void>): Promise<string | null> {
  try {
    await command;
    return null;
  } catch (error) {
    if (error instanceof QmpError && error.kind === 'refused') return error.message;
    throw error;
  }
}

/**
 * Repeats a command that is refused only for a moment: a client has just hung up, a request is being
 * finished, a name is not free yet. Returns the last refusal, null when it was done.
 */
export async function persist(
  clock: Clock,
  timeoutMs: number,
  command: () => Promise<void>,
): Promise<string | null> {
  const deadline = clock.monotonic() + timeoutMs;
  for (;;) {
    const refusal = await refusalOf(command());
    if (refusal === null || clock.monotonic() > deadline) return refusal;
    await clock.sleep(LIMITS.NBD_START_POLL_MS);
  }
}

/** What the daemon says about a monitor that does not do as asked. */
export function toUnhealthy(error: unknown): unknown {
  return error instanceof QmpError ? unhealthy(error.message, error) : error;
}
