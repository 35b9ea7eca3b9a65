import { readdir, readlink, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Volume } from '~/lab/cloudstack/records';
import { expectedSerial } from '~/server/devices/correlation';
import { exportName } from '~/server/model/export-name';
import { Walk } from '../daemon/walk';

/**
 * Sync on the built server with MariaDB, nbd-server and a CloudStack of more than 500 volumes, which is more
 * than it shows on one page. What is wrong is made behind the daemon's back, as other people's hands and
 * other programs do it.
 */
const GIB = 1024 ** 3;
const DATABASE = 'migratekit_oma';
const HERE = 16;
const ELSEWHERE = 300;
const DETACHED = 250;

interface Reply {
  readonly message: string;
  readonly report: {
    readonly observed: Readonly<Record<string, number>>;
    readonly unavailable: readonly string[];
    readonly drifts: readonly { kind: string; volume_id: string | null; action: string; remedy: string }[];
  };
}

interface Validation {
  readonly valid: boolean;
  readonly results: readonly { volume_id: string; ok: boolean }[];
}

let walk: Walk;
let otherVm: string;
let here: Volume[];
let elsewhere: Volume[];
let detached: Volume[];

beforeAll(async () => {
  // The minute's run would do what is measured here.
  walk = await Walk.begin({ env: { RECONCILE_INTERVAL: '24h' } });
  const { model } = walk.lab.cloud;
  otherVm = model.addVm({ name: 'migrated' }).id;
  const made = (count: number, fields: Partial<Volume>) =>
    Array.from({ length: count }, (_, index) => addVolume(`v${index}`, fields));
  elsewhere = made(ELSEWHERE, { vmId: otherVm, deviceId: 1 });
  detached = made(DETACHED, {});
  here = made(HERE, { vmId: walk.appliance, deviceId: 1 });
  for (const volume of here) await plug(volume);
});
afterAll(() => walk?.close());

function addVolume(name: string, fields: Partial<Volume>): Volume {
  const { inventory } = walk.lab.cloud.model;
  const zoneId = inventory.firstZone().id;
  const volume = inventory.addVolume({ name, size: GIB, zoneId, diskOfferingId: null });
  return Object.assign(volume, { state: 'Ready' }, fields);
}

function plug({ id, size }: Volume): Promise<void> {
  return walk.lab.guest.plug({ volumeId: id, size, serial: expectedSerial(id) });
}

const forceSync = (dryRun: boolean) =>
  walk.api.post<Reply>(`/api/v1/admin/force-sync${dryRun ? '?dry_run=true' : ''}`);

/** `kind action` → how often. */
function tally({ report }: Reply): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { kind, action } of report.drifts) {
    const key = `${kind} ${action}`;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}

const sql = (statement: string, values: readonly unknown[] = []) =>
  walk.lab.database.query(statement, values, DATABASE);

/**
 * Everything that sync may write: rows, journal, links of exports; and what CloudStack was made to do.
 */
async function everything(): Promise<unknown> {
  const tables = ['device_mappings', 'nbd_exports', 'volume_operation_steps', 'volume_operations'];
  const rows = await Promise.all(tables.map((table) => sql(`SELECT * FROM ${table} ORDER BY id`)));
  const links = (await readdir(linkDir())).sort();
  return {
    rows,
    links: await Promise.all(links.map(async (name) => [name, await readlink(join(linkDir(), name))])),
    effects: structuredClone(walk.lab.cloud.model.effects),
  };
}

const linkDir = () => join(walk.lab.dir, 'run/exports');

async function until(what: string, check: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!(await check())) {
    if (performance.now() > deadline) throw new Error(`not within a minute: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** How often CloudStack was asked for volumes so far. */
const listings = () =>
  walk.lab.cloud.model.history
    .events()
    .filter(({ what, detail }) => what === 'call' && detail === 'listVolumes').length;

describe('force-sync with more volumes than fit on a page', () => {
  it('reads every page of CloudStack once per run', async () => {
    const before = listings();
    const { report } = await forceSync(true);
    const pages = Math.ceil((HERE + ELSEWHERE + DETACHED + 2) / 500);
    expect(report.unavailable).toEqual([]);
    expect(report.observed).toMatchObject({
      cloud_volumes: HERE + ELSEWHERE + DETACHED + 2,
      devices: HERE + 1,
    });
    const asked = listings() - before;
    expect(asked).toBeGreaterThanOrEqual(pages);
    // The run at the start may have come in between; each reads a volume whose disk is not plugged yet once
    // more by its id before anything is said of it.
    expect(asked).toBeLessThanOrEqual(2 * (pages + HERE));
  });

  it('maps and exports what was attached by hand', async () => {
    // A disk whose serial is not read yet is not judged: the next run finds it.
    await until('everything is mapped and exported', async () => {
      const counts = tally(await forceSync(false));
      expect(Object.keys(counts).filter((key) => key !== 'unmapped-volume repaired')).toEqual([]);
      const { valid, results } = await walk.api.post<Validation>('/api/v1/exports/validate');
      return valid && results.length === HERE;
    });
    for (const { id } of here)
      expect(await walk.api.get(`/api/v1/volumes/${id}/device`)).toMatchObject({
        device_path: walk.lab.guest.devicePath(id),
        linux_state: 'detected',
      });
  });

  it('the rows of other VMs are judged as well, and a run that finds nothing writes nothing', async () => {
    await insertRemoteRows(elsewhere.slice(0, 200));
    const settled = await everything();
    expect((await forceSync(false)).report.drifts).toEqual([]);
    expect(await everything()).toEqual(settled);
  });

  it('a dry run reports what a real one does and writes nothing; a second run is empty', async () => {
    const unsafe = { 'ghost-disk reported': 2, 'phantom-attach reported': 2 };
    await makeDrifts();
    // A disk whose serial is not read yet is not judged, nor is any volume that it might be.
    await until(
      'the serials of the new disks are read',
      async () => tally(await forceSync(true))['unmapped-volume planned'] === 2,
    );
    // When a disk comes the daemon closes wrong links at once; that is not what is measured here either.
    await until('the wrong link stays', async () => {
      await exportWrongly();
      return tally(await forceSync(true))['orphan-export planned'] === 1;
    });
    const before = await everything();
    const dry = await forceSync(true);
    expect(await everything()).toEqual(before);
    const real = await forceSync(false);
    expect(tally(dry)).toEqual({
      'stale-mapping planned': 150 + 3,
      'unmapped-volume planned': 2,
      'missing-export planned': 1,
      'orphan-export planned': 1,
      'ghost-disk planned': 2,
      'phantom-attach planned': 2,
    });
    expect(tally(real)).toEqual({
      'stale-mapping repaired': 150 + 3,
      'unmapped-volume repaired': 2,
      'missing-export repaired': 1,
      'orphan-export repaired': 1,
      ...unsafe,
    });
    const named = ({ report }: Reply) => report.drifts.map(({ kind, volume_id }) => `${kind} ${volume_id}`);
    expect(named(real)).toEqual(named(dry));
    const settled = await everything();
    const again = await forceSync(false);
    expect(await everything()).toEqual(settled);
    expect(tally(again)).toEqual(unsafe);
    for (const { remedy } of again.report.drifts)
      expect(remedy).toMatch(/virsh detach-disk|POST \/api\/v1\/volumes/);
    expect(walk.lab.cloud.model.effects, 'sync attaches, detaches and deletes nothing').toEqual([]);
  });

  it('what is left to a person degrades the health, with its remedy', async () => {
    const health = await walk.api.get<{ status: string; details: { drifts: unknown[] } }>('/api/v1/health');
    expect(health.status).toBe('degraded');
    expect(health.details.drifts).toHaveLength(4);
  });

  it('a table that names another VM than the environment is a drift as well', async () => {
    await walk.daemon.stop();
    await sql('UPDATE ossea_configs SET oma_vm_id = ?', [otherVm]);
    await walk.restartDaemon();
    const { report } = await forceSync(true);
    expect(report.drifts.filter(({ kind }) => kind === 'identity-conflict')).toEqual([
      expect.objectContaining({
        action: 'reported',
        message: `ossea_configs.oma_vm_id says ${otherVm}, but OMA_VM_ID says ${walk.appliance}`,
        remedy: expect.stringContaining('UPDATE ossea_configs SET oma_vm_id'),
      }),
    ]);
  });
});

async function insertRemoteRows(volumes: readonly Volume[]): Promise<void> {
  const at = new Date();
  const rows = volumes.map(({ id, size }) => [
    `row-${id}`,
    id,
    otherVm,
    `remote-vm-${otherVm}-${id}`,
    'attached',
    'n/a',
    size,
    at,
    at,
    at,
  ]);
  const columns =
    'id, volume_id, vm_id, device_path, cloudstack_state, linux_state, size, last_sync, created_at, updated_at';
  await sql(`REPLACE INTO device_mappings (${columns}) VALUES ?`, [rows]);
}

/** The volumes of `here` are taken in turn, from the left. */
async function makeDrifts(): Promise<void> {
  const [stale1, stale2, stale3, ghost1, ghost2, phantom1, phantom2, unexported] = here;
  if (!stale1 || !stale2 || !stale3 || !ghost1 || !ghost2 || !phantom1 || !phantom2 || !unexported)
    throw new Error();
  const { guest } = walk.lab;
  await insertRemoteRows(detached.slice(0, 150));
  for (const volume of [stale1, stale2, stale3]) {
    await guest.unplug(volume.id);
    Object.assign(volume, { vmId: null, deviceId: null });
  }
  for (const volume of [ghost1, ghost2]) Object.assign(volume, { vmId: null, deviceId: null });
  for (const volume of [phantom1, phantom2]) await guest.unplug(volume.id);
  for (let index = 0; index < 2; index += 1)
    await plug(addVolume('by hand', { vmId: walk.appliance, deviceId: 1 }));
  // The daemon sees disks go and withdraws their exports at once; that is not what is measured here.
  const gone = [stale1, stale2, stale3, phantom1, phantom2].map(({ id }) => id);
  await until('the exports of vanished disks are withdrawn, and the others are served again', async () => {
    const files = await readdir(linkDir());
    const { results } = await walk.api.post<Validation>('/api/v1/exports/validate');
    const others = results.filter(({ volume_id }) => !gone.includes(volume_id));
    return !files.some((file) => gone.some((id) => file.includes(id))) && others.every(({ ok }) => ok);
  });
  await sql('DELETE FROM nbd_exports WHERE volume_id = ?', [unexported.id]);
}

/** A link under the name of a volume of another VM, which leads to a disk of this guest. */
async function exportWrongly(): Promise<void> {
  const [orphan] = elsewhere.slice(-1);
  const [source] = here.slice(7);
  const device = source ? walk.lab.guest.devicePath(source.id) : null;
  if (!orphan || device === null) throw new Error('nothing is exported');
  const link = join(linkDir(), exportName(orphan.id));
  await rm(link, { force: true });
  await symlink(device, link);
}
