import { exportName } from '~/server/model/export-name';
import type { OperationType, RequestOf } from '~/server/model/operation';
import type { DaemonProcess } from './process';
import type { Ask } from './script-items';
import type { World } from './world';

const TRIES = 120;
const PATIENCE_MS = 5_000;
const PAUSE = 1_000;

/** Who the daemon works for: migration and failover programs that ask again until they are answered. */
export class Callers {
  /** Requests by idempotency key: the operation that the caller was told of, null until it was. */
  readonly answered = new Map<string, string | null>();
  /** Key → the request, asked once more. */
  private readonly again = new Map<string, (process: DaemonProcess) => Promise<{ id: string } | null>>();
  waiting = 0;
  private last: string | null = null;

  constructor(
    private readonly world: World,
    private readonly owner: () => DaemonProcess | null,
  ) {}

  async ask(ask: Ask): Promise<void> {
    this.waiting += 1;
    try {
      await this.carryOut(ask);
    } finally {
      this.waiting -= 1;
    }
  }

  private async carryOut(ask: Ask): Promise<void> {
    const { world } = this;
    switch (ask.kind) {
      case 'create': {
        const offering = world.model.offerings[ask.fixed ? 1 : 0];
        const request = {
          name: ask.name,
          size: ask.bytes,
          zone_id: world.zoneId,
          disk_offering_id: offering?.id ?? '',
        };
        return this.request('create', request);
      }
      case 'attach': {
        const vmId = ask.where === 'here' ? world.applianceVmId : world.otherVmId;
        return this.request('attach', { volume_id: this.volume(ask.volume), vm_id: vmId });
      }
      case 'detach':
      case 'delete':
        return this.request(ask.kind, {
          volume_id: this.volume(ask.volume),
          ...(ask.force ? { force: true } : {}),
        });
      case 'cleanup':
        return this.request('cleanup', {
          volume_id: this.volume(ask.volume),
          test_vm_id: world.otherVmId,
          oma_vm_id: world.applianceVmId,
          delete_vm: ask.deleteVm,
          force_clean: ask.forceClean,
        });
      case 'resize': {
        const volumeId = this.volume(ask.volume);
        const size = (world.volume(volumeId)?.size ?? 0) + ask.moreBytes;
        return size > 0 ? this.request('resize', { volume_id: volumeId, size }) : undefined;
      }
      case 'recover':
        return this.request('recover', { volume_id: this.volume(ask.volume) });
      case 'snapshot':
        return this.request('snapshot', { volume_id: this.volume(ask.volume), name: 'before' });
      case 'snapshot-group': {
        const vmId = ask.where === 'here' ? world.applianceVmId : world.otherVmId;
        const there = world.volumes.filter((id) => world.volume(id)?.vmId === vmId);
        return there.length === 0
          ? undefined
          : this.request('snapshot-group', { vm_id: vmId, volume_ids: there, name: 'group' });
      }
      case 'delete-snapshot': {
        const snapshot = world.model.inventory.snapshots.at(-1 - ask.which);
        return snapshot && this.request('delete-snapshot', { snapshot_id: snapshot.id });
      }
      case 'revert': {
        const snapshot = world.model.inventory.snapshots.at(-1 - ask.which);
        return (
          snapshot && this.request('revert', { volume_id: this.volume(ask.volume), snapshot_id: snapshot.id })
        );
      }
      case 'client':
        return this.connect(this.volume(ask.volume), ask.ms);
      case 'hold':
        return this.hold(this.volume(ask.volume), ask.ms);
      case 'cancel':
      case 'sync':
      case 'publish':
      case 'withdraw':
        return this.once(ask);
      default:
        return ask satisfies never;
    }
  }

  /**
   * With an idempotency key, again and again: a caller that was not answered does not know whether it was
   * heard.
   */
  private async request<T extends OperationType>(type: T, request: RequestOf[T]): Promise<void> {
    const { world } = this;
    const key = world.random.uuid();
    this.answered.set(key, null);
    const send = (process: DaemonProcess) =>
      process.operations.request(type, request, { idempotencyKey: key }).catch(() => null);
    this.again.set(key, send);
    for (let attempt = 0; attempt < TRIES && !world.over; attempt += 1) {
      const process = this.owner();
      if (process) {
        const operation = await Promise.race([
          send(process),
          world.scheduler.sleep(PATIENCE_MS).then(() => null),
        ]);
        if (operation) {
          this.answered.set(key, operation.id);
          this.last = operation.id;
          world.trace(() => `caller: ${type} ${JSON.stringify(request)} is operation ${operation.id}`);
          return;
        }
      }
      await world.scheduler.sleep(PAUSE);
    }
  }

  /**
   * Everybody whose key is still kept asks once more: the keys of those whose answer is another operation.
   */
  async forgotten(process: DaemonProcess): Promise<string[]> {
    const keys: string[] = [];
    for (const [key, id] of this.answered) {
      const kept = id !== null && this.world.store.operations.get(id)?.operation.idempotencyKey === key;
      const now = kept ? await this.again.get(key)?.(process) : null;
      if (now && now.id !== id) keys.push(key);
    }
    return keys;
  }

  private async once(ask: Extract<Ask, { kind: 'cancel' | 'sync' | 'publish' | 'withdraw' }>): Promise<void> {
    const process = this.owner();
    if (!process) return;
    const work = async (): Promise<unknown> => {
      switch (ask.kind) {
        case 'cancel':
          return this.last === null ? null : process.operations.cancel(this.last);
        case 'sync':
          return process.trySync('caller');
        case 'publish':
          return process.exports.publish(this.volume(ask.volume), {});
        case 'withdraw':
          return process.exports.withdraw(this.volume(ask.volume), { force: ask.force });
        default:
          return ask satisfies never;
      }
    };
    await Promise.race([work().catch(() => null), this.world.scheduler.sleep(PATIENCE_MS)]);
  }

  private async connect(volumeId: string, ms: number): Promise<void> {
    const { server, scheduler } = this.world;
    const client = await server.connect(exportName(volumeId)).catch(() => null);
    if (!client) return;
    await scheduler.sleep(ms);
    server.hangUp(client);
  }

  private async hold(volumeId: string, ms: number): Promise<void> {
    const { guest, scheduler } = this.world;
    const leave = guest.use(volumeId, { kind: 'mount', detail: '/mnt' });
    await scheduler.sleep(ms);
    leave();
  }

  private volume(index: number): string {
    // Beyond the end: the volume that was created last.
    const { volumes } = this.world;
    return volumes[index] ?? (index > volumes.length ? volumes.at(-1) : undefined) ?? volumes[0] ?? '';
  }
}
