import type { DaemonProcess } from '~/lab/daemon';
import { type ClusterRig, follow, type Machine, sleep } from './rig';

/** An appliance and the daemons that may be its owner. */
export interface Served {
  readonly machine: Machine;
  /** Two machines of one appliance have one CloudStack VM, and its disks can come to one of them only. */
  readonly remoteOnly?: boolean;
  readonly daemons: readonly DaemonProcess[];
}

/**
 * Callers that attach and detach volumes of their own, one after the other. What CloudStack has done is
 * counted against what was asked for.
 */
export class Load {
  operations = 0;
  readonly wrong: string[] = [];
  /** Volume → how often it was attached, and detached. */
  private readonly done = new Map<string, { attach: number; detach: number }>();
  private stopped = false;
  private readonly running: Promise<void>[];

  constructor(
    private readonly rig: ClusterRig,
    served: readonly Served[],
    clients: number,
  ) {
    this.running = Array.from({ length: clients }, async (_, index) => {
      const one = served[index % served.length];
      if (one) await this.client(one, index);
    });
  }

  /** Resolves when so many more operations have ended, or something has gone wrong. */
  async progress(operations: number): Promise<void> {
    const wanted = this.operations + operations;
    while (this.operations < wanted && this.wrong.length === 0) await sleep(20);
  }

  /** Every client finishes its round; then it is counted. */
  async end(): Promise<void> {
    this.stopped = true;
    await Promise.all(this.running);
    await this.count();
  }

  private async client({ machine, daemons, remoteOnly = false }: Served, index: number): Promise<void> {
    const vmId = this.rig.cloud.model.addVm({ name: `vm of client ${index}` }).id;
    const volume = this.rig.volume(`volume of client ${index}`);
    const done = { attach: 0, detach: 0 };
    this.done.set(volume, done);
    const path = `/api/v1/volumes/${volume}`;
    try {
      for (let round = 0; !this.stopped; round += 1) {
        await this.completed(daemons, `${path}/attach`, {
          vm_id: round % 3 === 0 && !remoteOnly ? machine.vmId : vmId,
        });
        done.attach += 1;
        await this.completed(daemons, `${path}/detach`, {});
        done.detach += 1;
      }
    } catch (error) {
      this.wrong.push(`client ${index}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  private async completed(daemons: readonly DaemonProcess[], path: string, body: unknown): Promise<void> {
    const ended = await follow(daemons, path, body);
    this.operations += 1;
    if (ended.status !== 'completed') throw new Error(`${ended.type} ${ended.status}: ${ended.error ?? ''}`);
  }

  private async count(): Promise<void> {
    const { model } = this.rig.cloud;
    for (const [volume, done] of this.done)
      for (const kind of ['attach', 'detach'] as const) {
        const happened = model.effectsOf(volume, kind);
        if (happened !== done[kind])
          this.wrong.push(
            `${kind} of ${volume} was done ${happened} times and asked for ${done[kind]} times`,
          );
      }
    const [rows] = await this.rig.rows('SELECT COUNT(*) AS n FROM volume_operations');
    if (this.wrong.length === 0 && Number(rows?.n) < this.operations)
      this.wrong.push(`${this.operations} operations were answered, ${Number(rows?.n)} are recorded`);
    const open = await this.rig.rows(
      "SELECT id, type, status FROM volume_operations WHERE status IN ('pending', 'executing')",
    );
    for (const { id, type, status } of open) this.wrong.push(`${type} ${id} is still ${status}`);
    const ends = await this.rig.rows(
      `SELECT operation_id, COUNT(*) AS n FROM volume_operation_steps
       WHERE step = 'operation' AND state IN ('completed', 'failed', 'cancelled') GROUP BY operation_id HAVING n <> 1`,
    );
    for (const { operation_id, n } of ends) this.wrong.push(`operation ${operation_id} has ended ${n} times`);
  }
}
