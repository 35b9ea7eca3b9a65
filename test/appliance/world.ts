import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { ApiClient, type ExportReply, type OperationReply } from '~/lab/client';
import { type Simulator, startSimulator } from '~/lab/cloudstack/http';
import { LiveClient } from '~/lab/exports/live-client';
import { type MachineType, QmpGuest } from '~/lab/guest/qmp-guest';
import type { ExportTrafficReply } from '~/server/http/schemas/traffic';
import type { GuestImage } from './image';
import { configureCloud, daemonReady, installPackage, KEYS, SNAPSHOT } from './installation';
import { Machine, PORTS } from './machine';
import { patiently, until } from './patience';

const GIB = 1024 ** 3;
const MIB = 1024 ** 2;
/** Written through every export; enough to cover several requests, little enough for emulation. */
export const PATTERN_BYTES = 2 * MIB;
/** Where in the volume: not at its start, so that a wrong offset shows too. */
export const PATTERN_OFFSET = 64 * MIB;
export const APPLIANCE_VM = '5f0c7a52-1f64-4f0c-9a3e-3f1f0b8c2d11';

export interface WorldOptions {
  readonly type: MachineType;
  readonly image: GuestImage;
  /** Folder of this world; it must exist. */
  readonly dir: string;
}

export interface Mapping {
  readonly volume_id: string;
  readonly device_path: string;
  readonly serial: string | null;
  readonly linux_state: string;
  readonly size: number;
}

export interface Drift {
  readonly kind: string;
  readonly volume_id: string | null;
  readonly action: string;
  readonly message: string;
}

/**
 * A guest with the daemon in it, the simulated CloudStack around it, and what a caller and an operator do.
 */
export class World {
  private readonly patterns = new Map<string, Buffer>();

  private constructor(
    readonly options: WorldOptions,
    readonly cloud: Simulator,
    readonly guest: QmpGuest,
    readonly machine: Machine,
    readonly api: ApiClient,
  ) {}

  static async create(options: WorldOptions): Promise<World> {
    const { type, image, dir } = options;
    const volumes = join(dir, 'volumes');
    mkdirSync(volumes, { recursive: true });
    const guest = new QmpGuest({ machineType: type, dir: volumes, ports: PORTS });
    const cloud = await startSimulator({ guest, applianceVmId: APPLIANCE_VM, ...KEYS });
    const machine = await Machine.create({
      type,
      image,
      dir,
      guest,
      uuid: APPLIANCE_VM,
      cloudPort: cloud.port,
    });
    return new World(options, cloud, guest, machine, new ApiClient(`http://127.0.0.1:${machine.ports.api}`));
  }

  /**
   * The first boot, the package installed, the daemon ready; kept as a snapshot in the overlay. Returns what
   * is worth printing.
   */
  prepare(deb: string): Promise<string> {
    return installPackage({ ...this, deb });
  }

  /** From the snapshot of a prepared overlay: a daemon that is ready and has never done anything. */
  async begin(template: string): Promise<void> {
    copyFileSync(template, this.machine.overlay);
    await this.machine.start(SNAPSHOT);
    await configureCloud(this);
    await this.ready();
  }

  /** Waits until the daemon is the owner and takes requests. */
  ready(): Promise<void> {
    return daemonReady(this.api.url);
  }

  until(what: string, condition: () => Promise<boolean>): Promise<void> {
    return until(what, condition);
  }

  // ---- what callers do ----------------------------------------------------------------------------------------------

  async create(name: string, size = GIB): Promise<string> {
    const { diskOfferingId: disk_offering_id, zoneId: zone_id } = this.cloud;
    const body = { name, size, disk_offering_id, zone_id };
    const key = randomUUID();
    const asked = await patiently(() => this.api.post<OperationReply>('/api/v1/volumes', body, key));
    return (await this.end(asked)).volume_id;
  }

  async createMany(count: number): Promise<string[]> {
    return Promise.all(Array.from({ length: count }, (_, n) => this.create(`volume-${n}`)));
  }

  requestAttach(volumeId: string, vmId = APPLIANCE_VM): Promise<OperationReply> {
    return patiently(() =>
      this.api.post<OperationReply>(`/api/v1/volumes/${volumeId}/attach`, { vm_id: vmId }),
    );
  }

  requestDetach(volumeId: string, body?: unknown): Promise<OperationReply> {
    return patiently(() => this.api.post<OperationReply>(`/api/v1/volumes/${volumeId}/detach`, body));
  }

  async attach(volumeId: string, vmId = APPLIANCE_VM): Promise<OperationReply> {
    return this.end(await this.requestAttach(volumeId, vmId));
  }

  async detach(volumeId: string, body?: unknown): Promise<OperationReply> {
    return this.end(await this.requestDetach(volumeId, body));
  }

  /** Waits until the operation has ended; throws with the daemon's own words when it failed. */
  async end(operation: OperationReply): Promise<OperationReply> {
    const ended = await this.outcome(operation);
    if (ended.status === 'completed') return ended;
    throw new Error(`${ended.type} ${ended.status}: ${ended.error ?? 'no reason given'}`);
  }

  /** The end of an operation, however it ends, and whatever happens to the daemon meanwhile. */
  async outcome(operation: OperationReply): Promise<OperationReply> {
    let current = operation;
    await this.until(`operation ${operation.id} ends`, async () => {
      current = await this.api
        .get<OperationReply>(`/api/v1/operations/${operation.id}?wait=10s`)
        .catch(() => current);
      return current.status !== 'pending' && current.status !== 'executing';
    });
    return current;
  }

  mapping(volumeId: string): Promise<Mapping> {
    return patiently(() => this.api.get<Mapping>(`/api/v1/volumes/${volumeId}/device`));
  }

  async connect(volumeId: string): Promise<LiveClient> {
    const { export_name } = await patiently(() => this.api.get<ExportReply>(`/api/v1/exports/${volumeId}`));
    return LiveClient.open(this.machine.ports.nbd, export_name);
  }

  /** Runs sync now; every drift it found. */
  async sync(): Promise<readonly Drift[]> {
    const { report } = await patiently(() =>
      this.api.post<{ report: { drifts: Drift[] } }>('/api/v1/admin/force-sync'),
    );
    return report.drifts;
  }

  /**
   * Waits until every one of these is mapped here and its export lets a client in. Nobody helps: sync runs by
   * itself.
   */
  async settled(volumeIds: readonly string[]): Promise<void> {
    for (const id of volumeIds) {
      await this.until(`${id} is mapped and exported`, async () => {
        const mapping = await this.mapping(id).catch(() => null);
        if (!mapping?.device_path.startsWith('/dev/')) return false;
        const client = await this.connect(id).catch(() => null);
        await client?.close();
        return client !== null;
      });
    }
  }

  // ---- contents: the only proof that a disk is the right one -----------------------------------------------------------

  /** Writes new random data through the volume's export. */
  async write(volumeId: string): Promise<void> {
    const data = randomBytes(PATTERN_BYTES);
    const client = await this.connect(volumeId);
    await client.write(PATTERN_OFFSET, data);
    await client.flush();
    await client.close();
    this.patterns.set(volumeId, data);
  }

  /**
   * The volume's file on the host holds what was written through its export, and so does the export when
   * asked again.
   */
  async verify(volumeId: string, { over = 'file' }: { over?: 'file' | 'export' } = {}): Promise<void> {
    const expected = this.patterns.get(volumeId);
    if (!expected) throw new Error(`nothing was written to ${volumeId}`);
    const found = over === 'file' ? await this.readFile(volumeId) : await this.readExport(volumeId);
    if (found.equals(expected)) return;
    const owner = [...this.patterns].find(([, data]) => data.equals(found))?.[0];
    throw new Error(
      `WRONG DISK: the ${over} of volume ${volumeId} holds ${owner ? `the data of ${owner}` : `other data (${digest(found)})`}`,
    );
  }

  /**
   * What was written through the export is counted by the guest's kernel, at the latest after its next flush.
   */
  async verifyTraffic(volumeId: string): Promise<void> {
    const { traffic } = await patiently(() =>
      this.api.get<{ traffic?: ExportTrafficReply }>(`/api/v1/exports/${volumeId}`),
    );
    const { bytes_written = null, unknown = ['no traffic is told'] } = traffic ?? {};
    if (bytes_written === null || bytes_written < PATTERN_BYTES)
      throw new Error(`${PATTERN_BYTES} bytes were written, ${bytes_written} counted ${unknown.join('; ')}`);
  }

  private async readFile(volumeId: string): Promise<Buffer> {
    const file = await open(this.guest.backingFile(volumeId));
    try {
      const { buffer } = await file.read(Buffer.alloc(PATTERN_BYTES), 0, PATTERN_BYTES, PATTERN_OFFSET);
      return buffer;
    } finally {
      await file.close();
    }
  }

  private async readExport(volumeId: string): Promise<Buffer> {
    const client = await this.connect(volumeId);
    const data = await client.read(PATTERN_OFFSET, PATTERN_BYTES);
    await client.close();
    return data;
  }

  /**
   * Every one of them: mapped to the device that has its serial, and new data written through its export in
   * its own file.
   */
  async verifyAll(volumeIds: readonly string[]): Promise<void> {
    for (const id of volumeIds) await this.write(id);
    for (const id of volumeIds) {
      await this.verify(id);
      const { device_path: path } = await this.mapping(id);
      const serial = await this.machine.agent.run(`cat /sys/block/${path.replace('/dev/', '')}/serial`);
      const expected = id.replaceAll('-', '').slice(0, 20);
      if (serial !== expected)
        throw new Error(`WRONG DISK: ${id} is mapped to ${path}, whose serial is ${serial}`);
    }
  }

  // ---- what is kept when a scenario fails ------------------------------------------------------------------------------

  /** Journal and console of the guest in a folder. */
  async keep(folder: string): Promise<void> {
    mkdirSync(folder, { recursive: true });
    if (existsSync(this.machine.console)) copyFileSync(this.machine.console, join(folder, 'console.log'));
    const journal = await this.machine.agent
      .try(
        'journalctl --no-pager -o short-iso-precise; systemctl status --no-pager volume-daemon volume-daemon-nbd mariadb; ls -l /sys/block /run/volume-daemon/exports',
        undefined,
        60_000,
      )
      .then(({ output }) => output)
      .catch((error: unknown) => `the guest does not answer: ${String(error)}`);
    writeFileSync(join(folder, 'journal.log'), journal);
    const said = await fetch(`${this.api.url}/api/v1/operations?limit=50`, {
      signal: AbortSignal.timeout(10_000),
    })
      .then((answer) => answer.text())
      .catch((error: unknown) => String(error));
    writeFileSync(join(folder, 'operations.json'), said);
  }

  async close(): Promise<void> {
    await this.machine.powerOff();
    await this.cloud.stop();
  }
}

function digest(data: Buffer): string {
  return createHash('sha256').update(data).digest('hex').slice(0, 12);
}
