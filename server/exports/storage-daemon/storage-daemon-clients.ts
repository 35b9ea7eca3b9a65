import type { Clock } from '../../core/clock';
import { LIMITS } from '../../core/limits';
import { unhealthy } from '../export-errors';
import { clientsOfPort } from '../process-table';
import {
  persist,
  refusalOf,
  type StorageDaemonCommands,
  type StorageDaemonMonitor,
  type StorageExport,
} from './storage-daemon-monitor';

/**
 * Who is connected to qemu-storage-daemon. QMP does not tell, and all clients share one port. So while
 * anybody is connected, the export is removed unless it is in use, and added again at once: two commands,
 * well under a millisecond. That would break a client in its handshake (measured), so it waits until nobody
 * has just arrived; where somebody always does, all clients count.
 */
export class StorageDaemonClients {
  constructor(
    private readonly port: number,
    private readonly monitor: StorageDaemonMonitor,
    private readonly clock: Clock,
  ) {}

  /** Clients of the whole server. */
  count(): number {
    return clientsOfPort(this.port).length;
  }

  /** Clients of one export. Throws QmpError, EXPORT_SERVER_UNHEALTHY. */
  async of(name: string): Promise<{ count: number; details: string[] }> {
    if (this.count() === 0) return { count: 0, details: [] };
    const seen = await this.monitor.talk(async (commands) => {
      const all = await commands.exports();
      const found = all.find((one) => one.name === name);
      if (!found) return null;
      const alone = all.length === 1;
      if (!(await this.nobodyArrives())) return { alone };
      const refusal = await refusalOf(commands.withhold(found.id, 'safe'));
      if (refusal !== null) return { alone };
      await this.giveBack(commands, found);
      return null;
    });
    if (seen === null) return { count: 0, details: [] };
    const peers = clientsOfPort(this.port);
    if (seen.alone) return { count: peers.length, details: peers.map((peer) => `client ${peer}`) };
    return { count: 1, details: [`one or more of the clients ${peers.join(', ')}`] };
  }

  /** Waits until every connection is older than a handshake takes; false when new ones do not stop coming. */
  private async nobodyArrives(): Promise<boolean> {
    const { clock } = this;
    const deadline = clock.monotonic() + LIMITS.EXPORT_CLIENT_LINGER_MS;
    let before = new Set<string>();
    for (;;) {
      const now = clientsOfPort(this.port);
      if (now.every((peer) => before.has(peer))) return true;
      if (clock.monotonic() > deadline) return false;
      before = new Set(now);
      await clock.sleep(LIMITS.EXPORT_CLIENT_ARRIVES_MS);
    }
  }

  /** The server forgets the old export a moment after it said so; until then the name is taken. */
  private async giveBack(
    commands: StorageDaemonCommands,
    { name, volumeId, diskseq }: StorageExport,
  ): Promise<void> {
    const refusal = await persist(this.clock, LIMITS.EXPORT_RELOAD_SETTLE_MS, () =>
      commands.offer(name, volumeId, diskseq),
    );
    if (refusal !== null) throw unhealthy(`export ${name} could not be given back: ${refusal}`);
  }
}
