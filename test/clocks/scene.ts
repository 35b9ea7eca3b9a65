import type { OperationReply } from '~/lab/client';
import type { FakeTime } from '~/lab/fake-time';
import { sleep } from '~/test/faults/load/chance';
import { Rig } from '~/test/faults/rig';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
/** More than are kept whatever their age. */
const ROWS = 1_200;
const PATIENCE_MS = 60_000;
/**
 * The minute of the hour at which the history is pruned (nitro.config.ts), and how long before it a case
 * begins.
 */
const PRUNED_AT_MS = 17 * 60_000;
const BEFORE_MS = 20_000;
/** An operation under way takes so long in CloudStack that the clock is set meanwhile. */
const CREATE_MS = 1_500;

interface Health {
  readonly database_health: string;
  readonly details: {
    readonly components: {
      readonly device_monitor: {
        readonly status: string;
        readonly details: { readonly last_scan_at: string };
      };
      readonly sync: { readonly details?: { readonly last_judged_at: string | null } };
    };
  };
}

export interface Clocks {
  readonly daemon: FakeTime;
  readonly database: FakeTime;
}

/** An appliance with a history, whose daemon and database have a clock each. */
export class Scene {
  private constructor(
    private readonly rig: Rig,
    private readonly clocks: Clocks,
  ) {}

  static async begin(clocks: Clocks): Promise<Scene> {
    const rig = await Rig.begin({
      direct: true,
      env: { ...clocks.daemon.env, RECONCILE_INTERVAL: '5s' },
      database: { env: clocks.database.env },
      cloud: { latencies: { create: CREATE_MS } },
    });
    return new Scene(rig, clocks);
  }

  /**
   * Both clocks agree again, shortly before the next pruning; a fresh daemon; a history that is `days`
   * old.
   */
  async reset(days: number): Promise<number> {
    await this.rig.daemon.stop();
    const baseMs = PRUNED_AT_MS - BEFORE_MS - (Date.now() % HOUR_MS);
    this.clocks.daemon.set(baseMs);
    this.clocks.database.set(baseMs);
    await this.rig.rows('DELETE FROM volume_operations');
    await this.rig.rows(
      `INSERT INTO volume_operations (id, type, status, volume_id, request, accepted_at, created_at, updated_at, completed_at, appliance_id, epoch)
       SELECT UUID(), 'detach', 'completed', CONCAT('volume-', seq), '{}', NOW(3) - INTERVAL ${days} DAY, NOW(3) - INTERVAL ${days} DAY,
         NOW(3) - INTERVAL ${days} DAY, NOW(3) - INTERVAL ${days} DAY, '${this.rig.appliance}', 1 FROM seq_1_to_${ROWS}`,
    );
    await this.rig.restart();
    return baseMs;
  }

  /** Sets the clocks of these, and says what did not stay as it must. */
  async step(of: readonly (keyof Clocks)[], byMs: number): Promise<string[]> {
    const wrong: string[] = [];
    const baseMs = await this.reset(10);
    const fresh = await this.keyed('fresh', 0);
    const old = await this.keyed('old', 23);
    const underWay = await this.rig.accepted(this.create());
    const there = await this.count();
    const logged = this.rig.daemon.log().length;
    for (const clock of of) this.clocks[clock].set(baseMs + byMs);
    const said = () => this.rig.daemon.log().slice(logged);

    if (of.includes('daemon') && !(await until(() => /The clock of this machine was set/.test(said()))))
      wrong.push('the log does not say that the clock was set');
    if (of.length === 1 && !(await until(async () => (await this.health()).database_health === 'degraded')))
      wrong.push('health does not say that the clocks differ');
    for (const [what, mark] of MARKS)
      if (!(await this.changesTwice(mark))) wrong.push(`${what} have stopped`);
    if (!(await until(() => /The history is not pruned/.test(said())))) wrong.push('nobody pruned');
    for (const { key, body, id } of [fresh, old]) {
      const again = await this.rig.accepted(body, key);
      if (again.id !== id) wrong.push(`the key ${key} was forgotten`);
    }
    const ended = await this.end(underWay.id);
    if (ended !== 'completed') wrong.push(`what was under way is ${ended}`);
    const after = await this.rig.follow(this.create());
    if (after.status !== 'completed') wrong.push(`what came after is ${after.status}`);
    if ((await this.count()) !== there + 1)
      wrong.push(`${there} operations have become ${await this.count()}`);
    return wrong;
  }

  /**
   * With clocks that agree, and a history that is old: it is pruned, so that the cases above mean something.
   */
  async control(): Promise<string[]> {
    await this.reset(100);
    const there = await this.count();
    const pruned = await until(async () => (await this.count()) < there);
    return pruned && (await this.count()) === 1_000
      ? []
      : [`${there} old operations have become ${await this.count()}`];
  }

  async close(): Promise<void> {
    await this.rig.close();
  }

  private create() {
    const { zoneId, diskOfferingId } = this.rig.lab.cloud;
    const name = crypto.randomUUID();
    return {
      method: 'POST',
      path: '/api/v1/volumes',
      body: { name, size: 1024 ** 3, zone_id: zoneId, disk_offering_id: diskOfferingId },
    } as const;
  }

  /** An operation with a key that is so many hours old. */
  private async keyed(name: string, hours: number) {
    const key = `${name}-${crypto.randomUUID()}`;
    const body = this.create();
    const { id } = await this.rig.follow(body, key);
    await this.rig.rows(
      'UPDATE volume_operations SET created_at = created_at - INTERVAL ? HOUR WHERE id = ?',
      [hours, id],
    );
    return { key, body, id };
  }

  private async count(): Promise<number> {
    const [row] = await this.rig.rows('SELECT COUNT(*) AS n FROM volume_operations');
    return Number(row?.n);
  }

  private health = (): Promise<Health> => this.read('/api/v1/health');

  private async end(id: string): Promise<OperationReply['status']> {
    return (await this.read<OperationReply>(`/api/v1/operations/${id}?wait=25s`)).status;
  }

  private async changesTwice(mark: (health: Health) => unknown): Promise<boolean> {
    const seen = new Set<unknown>();
    return until(async () => seen.add(mark(await this.health())).size > 2);
  }

  private async read<T>(path: string): Promise<T> {
    return JSON.parse(await (await fetch(this.rig.daemon.url + path)).text());
  }
}

const MARKS: readonly (readonly [string, (health: Health) => unknown])[] = [
  ['looks at the guest', ({ details }) => details.components.device_monitor.details.last_scan_at],
  ['syncs', ({ details }) => details.components.sync.details?.last_judged_at],
];

/** By the monotonic clock of this program. */
async function until(isIt: () => boolean | Promise<boolean>): Promise<boolean> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await isIt())) {
    if (performance.now() > deadline) return false;
    await sleep(100);
  }
  return true;
}

export const STEPS: readonly (readonly [string, number])[] = [
  ['+400 days', 400 * DAY_MS],
  ['-400 days', -400 * DAY_MS],
  ['+2 hours', 2 * HOUR_MS],
  ['-2 hours', -2 * HOUR_MS],
  ['+25 hours', 25 * HOUR_MS],
  ['-25 hours', -25 * HOUR_MS],
];
