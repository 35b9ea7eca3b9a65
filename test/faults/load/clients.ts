import type { OperationReply } from '~/lab/client';
import type { EffectKind } from '~/lab/cloudstack/history';
import type { Ask, Rig } from '../rig';

const GIB = 1024 ** 3;

/** What one round of a client does to its volume in CloudStack, each exactly so often. */
const ROUND: Readonly<Partial<Record<EffectKind, number>>> = { create: 1, attach: 2, detach: 2, delete: 1 };
const OPERATIONS_PER_ROUND = 6;

export interface LoadReport {
  readonly rounds: number;
  /** Operations asked for; each was answered as accepted once and followed to its end. */
  readonly operations: number;
  /** What is not as it should be, in words. Empty is the only good answer. */
  readonly wrong: readonly string[];
}

/**
 * Callers that use the daemon as hard as they can: each takes volumes of its own through a whole life, one
 * after the other. Every request has its Idempotency-Key and is repeated until it is accepted, as the
 * documentation asks of callers.
 */
export class Load {
  private readonly finished: { name: string; volumeId: string }[] = [];
  private readonly wrong: string[] = [];
  private operations = 0;
  /** Names of this load alone. */
  private readonly prefix = crypto.randomUUID().slice(0, 8);
  private stopped = false;
  private readonly running: Promise<void>[];

  constructor(
    private readonly rig: Rig,
    clients: number,
  ) {
    this.running = Array.from({ length: clients }, (_, index) => this.client(index));
  }

  /** Lets every client finish the round it is in, then counts. */
  async end(): Promise<LoadReport> {
    this.stopped = true;
    await Promise.all(this.running);
    await this.count();
    return { rounds: this.finished.length, operations: this.operations, wrong: this.wrong };
  }

  private async client(index: number): Promise<void> {
    const vm = this.rig.model.addVm({ name: `vm-of-client-${index}` });
    for (let round = 0; !this.stopped; round += 1) {
      try {
        await this.round(`${this.prefix}-client-${index}-${round}`, vm.id);
      } catch (error) {
        this.wrong.push(`client ${index}: ${error instanceof Error ? error.message : String(error)}`);
        return;
      }
    }
  }

  private async round(name: string, vmId: string): Promise<void> {
    const { zoneId, diskOfferingId } = this.rig.lab.cloud;
    const body = { name, size: GIB, zone_id: zoneId, disk_offering_id: diskOfferingId };
    const created = await this.completed({ method: 'POST', path: '/api/v1/volumes', body });
    const volume = `/api/v1/volumes/${created.volume_id}`;
    for (const target of [this.rig.appliance, vmId]) {
      await this.completed({ method: 'POST', path: `${volume}/attach`, body: { vm_id: target } });
      await this.completed({ method: 'POST', path: `${volume}/detach` });
    }
    await this.completed({ method: 'DELETE', path: volume });
    this.finished.push({ name, volumeId: created.volume_id });
  }

  private async completed(ask: Ask): Promise<OperationReply> {
    this.operations += 1;
    const ended = await this.rig.follow(ask);
    if (ended.status !== 'completed')
      throw new Error(`${ended.type} ${ended.id} ${ended.status}: ${ended.error ?? 'no reason given'}`);
    return ended;
  }

  /** CloudStack's own history against what was asked, and the rows against the answers. */
  private async count(): Promise<void> {
    const { model } = this.rig;
    for (const { name, volumeId } of this.finished) {
      const made = model.volumes.filter((volume) => volume.name === name).length;
      if (made !== 1) this.wrong.push(`${made} volumes are named ${name}`);
      for (const [kind, times] of Object.entries(ROUND)) {
        const happened = model.effects.filter((one) => one.volumeId === volumeId && one.kind === kind).length;
        if (happened !== times)
          this.wrong.push(`${kind} of ${name} happened ${happened} times, not ${times}`);
      }
    }
    const open = await this.rig.rows(
      "SELECT id, type, status FROM volume_operations WHERE status IN ('pending', 'executing')",
    );
    for (const { id, type, status } of open) this.wrong.push(`${type} ${id} is still ${status}`);
    const ends = await this.rig.rows(
      `SELECT operation_id, COUNT(*) AS n FROM volume_operation_steps
       WHERE step = 'operation' AND state IN ('completed', 'failed', 'cancelled') GROUP BY operation_id HAVING n <> 1`,
    );
    for (const { operation_id, n } of ends) this.wrong.push(`operation ${operation_id} has ended ${n} times`);
    const left = await this.rig.rows('SELECT volume_id FROM device_mappings');
    for (const { volume_id } of left) this.wrong.push(`volume ${volume_id} is still mapped`);
    const names = new Set(this.finished.map(({ name }) => `"name":"${name}"`));
    const rows = await this.rig.rows("SELECT request FROM volume_operations WHERE type = 'create'");
    const creates = rows.filter(({ request }) =>
      [...names].some((name) => JSON.stringify(request).includes(name)),
    ).length;
    if (creates !== this.finished.length)
      this.wrong.push(`${creates} creates are recorded for ${this.finished.length} volumes`);
    if (this.wrong.length === 0 && this.operations !== this.finished.length * OPERATIONS_PER_ROUND)
      this.wrong.push(`${this.operations} operations were asked for in ${this.finished.length} rounds`);
  }
}
