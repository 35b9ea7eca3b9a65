import { type LabAppliance, startAppliance } from '~/lab/appliance';
import { ApiClient, type ExportReply, type OperationReply } from '~/lab/client';
import type { Volume } from '~/lab/cloudstack/records';
import type { DaemonProcess } from '~/lab/daemon';
import { expectedSerial } from '~/server/devices/correlation';
import { volumectl } from '../../cli/process';
import { VM, VOLUMES } from '../database/old-databases';
import type { OldFamily } from '../database/old-statements';
import { send } from './walk';

const GIB = 1024 ** 3;
const DATABASE = 'old';
/** As in the old rows, with serials of their own: the ids of those begin alike. */
const idOf = (index: number) => `a${index + 1}${(VOLUMES[index] ?? '').slice(2)}`;

/** A volume of the time before this daemon: its disk is in this guest, or on the test VM. */
type Old = Volume;

/**
 * A site that the daemon before this one has left: its database, its volumes in CloudStack and in the guest,
 * a test VM with a volume that has no mapping; and its hub, which goes on writing SQL beside its calls.
 */
export class OldSite {
  readonly hasHub: boolean;
  /** The column of the volume that the old programs write. */
  readonly column: 'volume_id' | 'volume_uuid';
  daemon: DaemonProcess | null = null;
  private contexts = 0;

  private constructor(
    readonly lab: LabAppliance,
    family: OldFamily,
    readonly old: readonly [Old, Old, Old],
    /** On it is `old[2]`, attached by the old daemon, which then could not map it. */
    readonly testVm: string,
    readonly env: Readonly<Record<string, string>>,
  ) {
    this.hasHub = family === 'live' || family === 'production';
    this.column = family === 'specification' ? 'volume_id' : 'volume_uuid';
  }

  static async make(family: OldFamily, statements: readonly string[]): Promise<OldSite> {
    const lab = await startAppliance();
    const { model, applianceVmId } = lab.cloud;
    const { dsn } = await lab.database.createDatabase(DATABASE);
    const testVm = model.addVm({ name: 'test-vm', state: 'Stopped' }).id;
    const volume = (id: string, vmId: string): Old =>
      Object.assign(
        model.inventory.addVolume({
          id,
          name: `old-${id.slice(-1)}`,
          size: 5 * GIB,
          zoneId: model.inventory.firstZone().id,
          diskOfferingId: lab.cloud.diskOfferingId,
        }),
        { state: 'Ready', hypervisor: 'KVM', vmId, deviceId: Number(id.slice(-1)) },
      );
    const old = [
      volume(idOf(0), applianceVmId),
      volume(idOf(1), applianceVmId),
      volume(idOf(2), testVm),
    ] as const;
    for (const { id, size } of old.slice(0, 2))
      await lab.guest.plug({ volumeId: id, size, serial: expectedSerial(id) });
    const site = new OldSite(lab, family, [...old], testVm, { ...lab.env, DATABASE_DSN: dsn });
    for (const statement of statements) {
      const withIds = VOLUMES.reduce((text, id, index) => text.replaceAll(id, idOf(index)), statement);
      await site.sql(withIds.replaceAll(VM, applianceVmId));
    }
    // Before it was left on the test VM, it was attached here.
    await site.sql(`INSERT INTO volume_operations (id, type, status, volume_id, vm_id, request, created_at, updated_at, completed_at) VALUES
      ('old-attach', 'attach', 'completed', '${idOf(2)}', '${applianceVmId}', '{}', '2025-08-01 10:00:00', '2025-08-01 10:00:09', '2025-08-01 10:00:09')`);
    await site.sql(
      'INSERT INTO ossea_configs (name, api_url, api_key, secret_key, zone, is_active) VALUES (?, ?, ?, ?, ?, 1)',
      ['site', lab.cloud.url, lab.cloud.apiKey, lab.cloud.secretKey, lab.cloud.zoneId],
    );
    return site;
  }

  get appliance(): string {
    return this.lab.cloud.applianceVmId;
  }

  get url(): string {
    if (this.daemon === null) throw new Error('the daemon does not run');
    return this.daemon.url;
  }

  get api(): ApiClient {
    return new ApiClient(this.url);
  }

  async start(): Promise<void> {
    this.daemon = await this.lab.startDaemon({ env: this.env });
  }

  async stop(): Promise<void> {
    await this.daemon?.stop();
    this.daemon = null;
  }

  async sql(statement: string, values: readonly unknown[] = []): Promise<Record<string, unknown>[]> {
    const answer = await this.lab.database.query(statement, values, DATABASE);
    return Array.isArray(answer) ? answer : [];
  }

  /** Sends a statement of the hub, where there is a hub. Its failure is the test's. */
  async hub(statement: string, values: readonly unknown[] = []): Promise<void> {
    if (this.hasHub) await this.sql(statement, values);
  }

  async plan(): Promise<Record<string, unknown>> {
    const { code, out, error } = await volumectl(
      ['adopt', '--plan', '--url', 'http://127.0.0.1:9'],
      this.env,
    );
    if (code !== 0) throw new Error(error);
    return JSON.parse(out);
  }

  // ---- the hub's calls, as its client makes them

  /** A VM is about to be migrated: the hub's context, the root of what its deletion takes along. */
  async context(): Promise<string> {
    this.contexts += 1;
    const id = `site-${this.contexts}`;
    await this.hub(`INSERT INTO vm_replication_contexts (context_id) VALUES ('${id}')`);
    return id;
  }

  /** Sequence A: create, the hub's rows, attach, export, the disk of the export. */
  async migrate(context: string, name: string): Promise<string> {
    const { diskOfferingId, zoneId } = this.lab.cloud;
    const created = await this.done('POST', '/api/v1/volumes', {
      name,
      size: 6 * GIB,
      disk_offering_id: diskOfferingId,
      zone_id: zoneId,
      metadata: { migration_job_id: context, disk_unit_number: '0', created_by: 'migration' },
    });
    const id = String(created.response?.volume_id);
    await this.recordVolume(context, id, name);
    await this.attach(id);
    const found = await this.exported(id);
    await this.hub('UPDATE nbd_exports SET vm_disk_id = 7 WHERE export_name = ? AND volume_id = ?', [
      found.export_name,
      id,
    ]);
    return id;
  }

  private async recordVolume(context: string, id: string, name: string): Promise<void> {
    if (!this.hasHub) return;
    const columns = new Set((await this.sql('SHOW COLUMNS FROM ossea_volumes')).map(({ Field }) => Field));
    const row = { vm_context_id: context, volume_id: id, volume_name: name, size_gb: 6, status: 'creating' };
    const there = Object.fromEntries(Object.entries(row).filter(([column]) => columns.has(column)));
    await this.sql('INSERT INTO ossea_volumes SET ?', [there]);
  }

  async attach(
    id: string,
    vm = this.appliance,
    how: 'attach' | 'attach-root' = 'attach',
  ): Promise<OperationReply> {
    return this.done('POST', `/api/v1/volumes/${id}/${how}`, { vm_id: vm });
  }

  detach(id: string): Promise<OperationReply> {
    return this.done('POST', `/api/v1/volumes/${id}/detach`);
  }

  remove(id: string): Promise<OperationReply> {
    return this.done('DELETE', `/api/v1/volumes/${id}`);
  }

  async done(method: string, path: string, body?: unknown): Promise<OperationReply> {
    return this.api.end(await this.fire(method, path, body));
  }

  /** Accepted with 201, and not waited for. */
  async fire(method: string, path: string, body?: unknown): Promise<OperationReply> {
    const init: RequestInit = {
      method,
      ...(body === undefined
        ? {}
        : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    };
    const { status, text } = await send(this.url + path, init);
    if (status !== 201) throw new Error(`${method} ${path}: ${status} ${text}`);
    return JSON.parse(text);
  }

  /** The path of the volume, or null: the hub takes a 404 for "detached". */
  async device(id: string): Promise<string | null> {
    const { status, body } = await send(`${this.url}/api/v1/volumes/${id}/device`);
    if (status !== 200 && status !== 404) throw new Error(`GET device: ${status}`);
    return status === 200 ? String(body.device_path) : null;
  }

  /** GET /exports/{id} has to be 200 right after an attach. Throws when it is not the export of this disk. */
  async exported(id: string): Promise<ExportReply> {
    const found = await this.api.get<ExportReply>(`/api/v1/exports/${id}`);
    const right =
      found.status === 'active' &&
      found.export_name === `migration-vol-${id}` &&
      found.device_path === this.lab.guest.devicePath(id);
    if (!right) throw new Error(`not the export of ${id}: ${JSON.stringify(found)}`);
    return found;
  }

  async volumesOf(vm: string): Promise<string[]> {
    const list = await this.api.get<{ volume_id: string }[]>(`/api/v1/vms/${vm}/volumes`);
    return list.map(({ volume_id }) => volume_id).sort();
  }

  /** The VM that a failover makes: stopped, and without the root disk that it came with. */
  failoverVm(name: string): string {
    const { model } = this.lab.cloud;
    const vm = model.addVm({ name, state: 'Stopped' }).id;
    for (const root of model.volumes.filter(({ vmId }) => vmId === vm))
      Object.assign(root, { vmId: null, removed: true });
    return vm;
  }

  inCloud(id: string): Volume | undefined {
    return this.lab.cloud.model.volumes.find((volume) => volume.id === id && !volume.removed);
  }

  close(): Promise<void> {
    return this.lab.close();
  }
}
