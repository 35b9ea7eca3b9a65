import { beforeEach, describe, expect, it } from 'vitest';
import { CloudError } from '~/server/cloudstack/cloud';
import { LIMITS } from '~/server/core/limits';
import { absent, seen } from '~/server/model/evidence';
import { cataloguedCloud } from '~/server/sync/catalogued-cloud';
import { VolumeCatalogue } from '~/server/sync/volume-catalogue';
import { settle } from '../devices/manual-clock';
import { MemoryAppliance } from './appliance';

let a: MemoryAppliance;
let lists: number;
let away: boolean;
beforeEach(async () => {
  a = await MemoryAppliance.start();
  [lists, away] = [0, false];
  const listVolumes = a.cloud.listVolumes;
  a.cloud.listVolumes = async (filter) => {
    lists += 1;
    if (away) throw new CloudError('CloudStack is away', { kind: 'network', outcome: 'not-started' });
    return listVolumes(filter);
  };
});

const sync = () => a.sync.run({ dryRun: false, reason: 'test' });
const shown = async () => (await a.catalogue.current()).volumes;
const one = async (id: string) => (await shown()).find((volume) => volume.id === id)?.volume ?? null;

describe('the catalogue of volumes', () => {
  it('is what sync has seen: nobody who reads it asks CloudStack', async () => {
    const volume = a.addVolume();
    await sync();
    expect(lists).toBe(1);
    await a.clock.advance(60_000);
    const { at, ageMs, unknown, volumes } = await a.catalogue.current();
    expect({ age: ageMs, at: a.clock.now() - at, unknown }).toEqual({
      age: 60_000,
      at: 60_000,
      unknown: null,
    });
    expect(volumes.map(({ id }) => id)).toContain(volume.id);
    expect(volumes.map(({ id }) => id)).toEqual(volumes.map(({ id }) => id).sort());
    expect(lists).toBe(1);
  });

  it('knows the age by the monotonic clock: setting the clock of the machine changes nothing', async () => {
    await sync();
    a.clock.set(-3_600_000);
    expect((await a.catalogue.current()).ageMs).toBe(0);
  });

  it('follows each single volume that is read for an operation, and a delete of ours', async () => {
    const volume = a.addVolume();
    await sync();
    const catalogue = new VolumeCatalogue({
      cloud: a.cloud,
      clock: a.clock,
      ledger: () => a.ledger,
      applianceVmId: () => a.vmId,
    });
    const cloud = cataloguedCloud(a.cloud, catalogue, a.clock);
    await catalogue.current();
    const listed = async () =>
      (await catalogue.current()).volumes.find(({ id }) => id === volume.id)?.volume ?? null;
    Object.assign(volume, { vmId: a.otherVm, deviceId: 1 });
    await cloud.readVolume(volume.id);
    expect(await listed()).toMatchObject({ kind: 'seen', value: { vmId: a.otherVm } });
    a.model.conditions.add({ kind: 'hidden', id: volume.id });
    await cloud.readVolume(volume.id);
    expect(await listed(), 'what was seen before is not the answer of now').toMatchObject({
      kind: 'unknown',
    });
    a.model.conditions.clear();
    Object.assign(volume, { vmId: null, deviceId: null });
    const deleted = cloud.deleteVolume(volume.id);
    await a.clock.advance(60_000);
    await deleted;
    // That the list does not show it afterwards adds nothing to the proof.
    await cloud.readVolume(volume.id);
    expect(await listed()).toBeNull();
  });

  it('a denial proves nothing there, and an id that nobody has ever shown becomes no line', async () => {
    const [volume, foreign] = [a.addVolume(), a.addVolume()];
    a.model.conditions.add({ kind: 'hidden', id: foreign.id });
    const catalogue = new VolumeCatalogue({
      cloud: a.cloud,
      clock: a.clock,
      ledger: () => a.ledger,
      applianceVmId: () => a.vmId,
    });
    const cloud = cataloguedCloud(a.cloud, catalogue, a.clock);
    const before = (await catalogue.current()).volumes.map(({ id }) => id);
    const mistyped = a.random.uuid();
    for (const id of [volume.id, mistyped]) {
      a.never.add(id);
      expect((await cloud.readVolume(id)).kind).toBe('absent');
    }
    expect((await cloud.readVolume(foreign.id)).kind).toBe('unknown');
    const { volumes } = await catalogue.current();
    expect(volumes.map(({ id }) => id)).toEqual(before);
    expect(volumes.find(({ id }) => id === volume.id)?.volume).toMatchObject({
      kind: 'unknown',
      why: 'this id names nothing',
    });
  });

  it('a look that began before a single read does not undo it', async () => {
    const volume = a.addVolume();
    await sync();
    const listVolumes = a.cloud.listVolumes;
    a.cloud.listVolumes = async (filter) => {
      const found = await listVolumes(filter);
      await a.clock.advance(10);
      a.catalogue.note(volume.id, absent('deleted', a.clock.now(), 'cloudstack'));
      return found;
    };
    await sync();
    expect(await one(volume.id)).toBeNull();
    a.cloud.listVolumes = listVolumes;
    await a.clock.advance(10);
    await sync();
    expect(await one(volume.id)).toMatchObject({ kind: 'seen' });
  });

  it('of two looks that overlap the one that began later counts', async () => {
    const volume = a.addVolume();
    const listVolumes = a.cloud.listVolumes;
    let release = () => {};
    a.cloud.listVolumes = async (filter) => {
      const found = await listVolumes(filter);
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      return found;
    };
    const first = sync();
    while (lists === 0) await settle();
    await settle();
    const finish = release;
    a.cloud.listVolumes = listVolumes;
    await a.clock.advance(5);
    Object.assign(volume, { state: 'Migrating' });
    await a.catalogue.look(a.vmId, []);
    finish();
    await first;
    expect(await one(volume.id)).toMatchObject({ value: { state: 'Migrating' } });
  });

  it('while CloudStack is away says so and since when, and goes on showing what was seen', async () => {
    const volume = a.addVolume();
    await sync();
    away = true;
    await a.clock.advance(1_000);
    await sync();
    const since = a.clock.now();
    await a.clock.advance(30_000);
    await sync();
    const { unknown, ageMs, volumes } = await a.catalogue.current();
    expect(unknown).toMatchObject({ kind: 'unknown', why: 'CloudStack is away', at: since });
    expect(ageMs).toBe(31_000);
    expect(volumes.map(({ id }) => id)).toContain(volume.id);
    away = false;
    await sync();
    expect((await a.catalogue.current()).unknown).toBeNull();
  });

  it('that was never filled is an error, not an empty list; a storm of readers asks once', async () => {
    away = true;
    const refused = await Promise.allSettled([shown(), shown(), shown()]);
    expect(refused.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
    await expect(shown()).rejects.toThrow('CloudStack is away');
    expect(lists).toBe(1);
    away = false;
    await a.clock.advance(LIMITS.CATALOGUE_RETRY_MS);
    const [all] = await Promise.all([shown(), shown()]);
    expect(all?.length).toBeGreaterThan(0);
    expect(lists).toBe(2);
  });

  it('is not waited for longer than callers have patience', async () => {
    a.cloud.listVolumes = () => new Promise(() => {});
    const asked = expect(shown()).rejects.toMatchObject({ code: 'CLOUDSTACK_UNAVAILABLE' });
    await a.clock.advance(LIMITS.VM_VOLUMES_LOOK_MS);
    await asked;
  });

  it('where nobody syncs, a reader who finds it old has it looked for behind his back', async () => {
    await sync();
    const volume = a.addVolume();
    await a.clock.advance(LIMITS.CATALOGUE_AGE_MS - 1);
    await shown();
    expect(lists).toBe(1);
    await a.clock.advance(1);
    await Promise.all([shown(), shown()]);
    await settle();
    expect(await one(volume.id)).toMatchObject({ kind: 'seen' });
    expect(lists).toBe(2);
  });

  it('is not judged with a key that does not see this appliance', async () => {
    a.model.conditions.add({ kind: 'hidden', id: a.vmId });
    await expect(shown()).rejects.toMatchObject({ code: 'VM_NOT_VISIBLE' });
  });

  it('has the volumes with a mapping that CloudStack does not show, as not known', async () => {
    const volume = a.addVolume({ vmId: a.vmId });
    await a.plug(volume.id);
    await sync();
    expect(await a.ledger.readMapping(volume.id)).not.toBeNull();
    a.model.conditions.add({ kind: 'hidden', id: volume.id });
    await a.clock.advance(1);
    await sync();
    expect(await one(volume.id)).toMatchObject({ kind: 'unknown', why: expect.stringContaining('not show') });
  });

  it('remembers a bounded number of single reads', async () => {
    await sync();
    const [some] = await shown();
    const volume = some?.volume.kind === 'seen' ? some.volume.value : null;
    if (!volume) throw new Error('there is a volume');
    for (let n = 0; n < LIMITS.CATALOGUE_NOTES + 5; n += 1)
      a.catalogue.note(`n-${n}`, seen({ ...volume, id: `n-${n}` }, 0, 'cloudstack'));
    const noted = (await shown()).filter(({ id }) => id.startsWith('n-'));
    expect(noted).toHaveLength(LIMITS.CATALOGUE_NOTES);
  });
});
