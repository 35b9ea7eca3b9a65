import { join } from 'node:path';
import type { OperationReply } from '~/lab/client';
import { type Simulator, startSimulator } from '~/lab/cloudstack/http';
import { type DaemonProcess, startDaemon } from '~/lab/daemon';
import { DATABASE, GaleraCluster } from '~/lab/galera/galera-cluster';
import type { GaleraNode } from '~/lab/galera/galera-node';
import { createSysfsGuest, type SysfsGuest } from '~/lab/guest/sysfs-guest';

const GIB = 1024 ** 3;
/** ms; a cluster that has lost its majority answers nobody. */
const PATIENCE_MS = 3 * 60_000;

/** A machine that a daemon runs on: a boot, disks and folders of its own. */
export interface Machine {
  readonly vmId: string;
  readonly guest: SysfsGuest;
  readonly dir: string;
}

/** Three real nodes, a simulated CloudStack, and as many appliances as wanted. */
export class ClusterRig {
  private readonly daemons = new Set<DaemonProcess>();
  private machines = 0;

  private constructor(
    readonly cluster: GaleraCluster,
    readonly cloud: Simulator,
  ) {}

  static async begin(say: (text: string) => void): Promise<ClusterRig> {
    const cluster = await GaleraCluster.start(say);
    const cloud = await startSimulator({ latencies: { attach: 30, detach: 30 } });
    const rig = new ClusterRig(cluster, cloud);
    await cluster.configureCloud(cloud);
    return rig;
  }

  /** An appliance of its own, or another machine of the same appliance. */
  async machine(sameAs?: Machine): Promise<Machine> {
    this.machines += 1;
    const dir = join(this.cluster.dir, `machine-${this.machines}`);
    const guest = await createSysfsGuest({ dir: join(dir, 'guest') });
    const vmId = sameAs?.vmId ?? this.cloud.model.addVm({ name: `appliance ${this.machines}`, guest }).id;
    return { vmId, guest, dir };
  }

  /** `nodes`: the addresses of its DSN in this order, or a DSN. */
  async start(
    { vmId, guest, dir }: Machine,
    nodes: readonly GaleraNode[] | string,
    options: { until?: 'ready' | 'listening'; port?: number } = {},
  ): Promise<DaemonProcess> {
    const daemon = await startDaemon({
      ...options,
      env: {
        DATABASE_DSN: typeof nodes === 'string' ? nodes : this.cluster.dsn(nodes),
        OMA_VM_ID: vmId,
        SYS_BLOCK_DIR: guest.sysBlockDir,
        DEV_DIR: guest.devDir,
        PROC_DIR: guest.procDir,
        DMI_DIR: guest.dmiDir,
        NBD_BACKEND: 'none',
        RUNTIME_DIRECTORY: join(dir, 'run'),
        STATE_DIRECTORY: join(dir, 'state'),
        LOG_FORMAT: 'json',
        JOB_LOST_AFTER: '1s',
      },
    });
    this.daemons.add(daemon);
    void daemon.exited.then(() => this.daemons.delete(daemon));
    return daemon;
  }

  /** A volume that nobody has yet. */
  volume(name: string): string {
    const { model, zoneId, diskOfferingId } = this.cloud;
    const volume = model.inventory.addVolume({ name, size: GIB, zoneId, diskOfferingId });
    volume.state = 'Ready';
    return volume.id;
  }

  /** Rows by any node that answers. */
  async rows(sql: string, database = DATABASE): Promise<Record<string, unknown>[]> {
    for (const node of this.cluster.nodes) {
      const rows = await node.query(sql, [], database).catch(() => null);
      if (Array.isArray(rows)) return rows;
    }
    throw new Error('no node answers');
  }

  async close(): Promise<void> {
    await Promise.all([...this.daemons].map((daemon) => daemon.kill()));
    await this.cloud.stop();
    await this.cluster.stop();
  }
}

/**
 * As a patient caller does it: the same request under the same key, at each of the daemons in turn, until one
 * accepts it; then it waits for the end. Anything but 503 and silence is an error.
 */
export async function follow(
  daemons: readonly DaemonProcess[],
  path: string,
  body: unknown,
): Promise<OperationReply> {
  const init: RequestInit = {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': crypto.randomUUID() },
    body: JSON.stringify(body),
  };
  let operation = await patiently<OperationReply>(daemons, path, init);
  while (operation.status === 'pending' || operation.status === 'executing')
    operation = await patiently(daemons, `/api/v1/operations/${operation.id}?wait=5s`, {});
  return operation;
}

async function patiently<T>(daemons: readonly DaemonProcess[], path: string, init: RequestInit): Promise<T> {
  const deadline = performance.now() + PATIENCE_MS;
  for (let turn = 0; ; turn += 1) {
    const daemon = daemons[turn % daemons.length];
    const answer = await fetch(`${daemon?.url}${path}`, init).catch(() => null);
    const text = await answer?.text().catch(() => null);
    if (answer?.ok && typeof text === 'string') return JSON.parse(text);
    if (answer && typeof text === 'string' && answer.status !== 503)
      throw new Error(`${init.method ?? 'GET'} ${path}: HTTP ${answer.status}: ${text}`);
    if (performance.now() > deadline)
      throw new Error(
        `${path} was not answered within ${PATIENCE_MS / 1000} s:\n${daemon?.log().slice(-4000)}`,
      );
    await sleep(25);
  }
}

export async function isReady({ url }: DaemonProcess): Promise<boolean> {
  const answer = await fetch(`${url}/readyz`).catch(() => null);
  await answer?.arrayBuffer().catch(() => undefined);
  return answer?.ok ?? false;
}

/** ms until one of them is ready. */
export async function untilReady(daemons: readonly DaemonProcess[]): Promise<number> {
  const begun = performance.now();
  while (!(await Promise.all(daemons.map(isReady))).includes(true)) {
    if (performance.now() - begun > PATIENCE_MS)
      throw new Error(`nobody is ready:\n${daemons.map((daemon) => daemon.log().slice(-3000)).join('\n')}`);
    await sleep(20);
  }
  return performance.now() - begun;
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
