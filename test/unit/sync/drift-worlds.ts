import fc from 'fast-check';
import { exportName } from '~/server/model/export-name';
import type { NewMapping } from '~/server/model/operation';
import { GIB, MemoryAppliance } from './appliance';

/**
 * What the four views say of one volume, each drawn on its own: most combinations are wrong in several ways
 * at once.
 */
export interface Draw {
  readonly cloud: 'here' | 'elsewhere' | 'detached' | 'absent' | 'hidden' | 'attaching';
  readonly disk: 'none' | 'fits' | 'too small';
  readonly row: 'none' | 'right' | 'letter' | 'plug' | 'boot' | 'size' | 'missing' | 'remote';
  readonly record: 'none' | 'active' | 'failed' | 'withdrawn';
  readonly served: 'none' | 'right' | 'elsewhere' | 'nowhere' | 'sick';
  readonly inFlight: boolean;
  readonly listed: boolean;
}

const draw: fc.Arbitrary<Draw> = fc.record({
  cloud: fc.constantFrom('here', 'here', 'here', 'elsewhere', 'detached', 'absent', 'hidden', 'attaching'),
  disk: fc.constantFrom('fits', 'fits', 'fits', 'none', 'too small'),
  row: fc.constantFrom(
    'right',
    'right',
    'none',
    'letter',
    'letter',
    'plug',
    'boot',
    'size',
    'missing',
    'remote',
  ),
  record: fc.constantFrom('active', 'active', 'none', 'failed', 'withdrawn'),
  served: fc.constantFrom('right', 'right', 'none', 'elsewhere', 'nowhere', 'sick'),
  inFlight: fc.integer({ min: 0, max: 7 }).map((n) => n === 0),
  listed: fc.integer({ min: 0, max: 7 }).map((n) => n > 0),
});

export const drawnWorld = fc.record({
  volumes: fc.array(draw, { minLength: 1, maxLength: 7 }),
  reboot: fc.boolean(),
});
export type DrawnWorld = typeof drawnWorld extends fc.Arbitrary<infer T> ? T : never;

/** A volume with its draw, made consistent: a row of a real daemon can not say everything. */
export interface Subject extends Draw {
  readonly id: string;
}

export interface DriftWorld {
  readonly appliance: MemoryAppliance;
  readonly subjects: readonly Subject[];
}

export async function build({ volumes, reboot }: DrawnWorld): Promise<DriftWorld> {
  const appliance = await MemoryAppliance.start();
  const subjects: Subject[] = [];
  for (const drawn of volumes) {
    const state = drawn.cloud === 'attaching' ? 'Attaching' : 'Ready';
    const vmId = { here: appliance.vmId, elsewhere: appliance.otherVm }[drawn.cloud as string] ?? null;
    const { id } = appliance.addVolume({ vmId, state });
    if (drawn.disk !== 'none') await appliance.plug(id, drawn.disk === 'fits' ? 5 * GIB : 4 * GIB);
    subjects.push({ ...drawn, id, ...consistent(drawn) });
  }
  // The letters move before the rows are written: `letter` and `boot` rows are what a reboot leaves behind.
  if (reboot) await appliance.guest.reboot();
  await writeRows(appliance, subjects);
  for (const subject of subjects) {
    await writeExport(appliance, subject, subjects);
    if (!subject.listed) appliance.unlisted.add(subject.id);
    if (subject.cloud === 'hidden') appliance.model.conditions.add({ kind: 'hidden', id: subject.id });
    if (subject.cloud === 'absent') appliance.never.add(subject.id);
    if (subject.inFlight) await appliance.begin(subject.id);
  }
  // The clock has moved on since those operations: what is left of them is only that they have not ended.
  await appliance.clock.advance(60_000);
  return { appliance, subjects };
}

function consistent({ disk, row, record, served, listed }: Draw): Partial<Draw> {
  const local = disk === 'none' && ['right', 'plug', 'boot', 'size'].includes(row) ? 'letter' : row;
  return {
    row: local,
    // An export row needs a mapping, and a mapping of another VM has none.
    record: local === 'none' || local === 'remote' ? 'none' : record,
    served: disk === 'none' && (served === 'right' || served === 'sick') ? 'elsewhere' : served,
    // What the list leaves out and no row names, nobody could know of.
    listed: listed || local === 'none',
  };
}

/**
 * Rows are unique by path: a `letter` row takes the path of a disk whose own row does not claim it, or one
 * that nobody has.
 */
async function writeRows(appliance: MemoryAppliance, subjects: readonly Subject[]): Promise<void> {
  const claims = ['right', 'plug', 'boot', 'size'];
  const free = subjects
    .filter(({ row, disk }) => disk !== 'none' && !claims.includes(row))
    .flatMap(({ id }) => appliance.guest.devicePath(id) ?? []);
  for (const [index, { id, row }] of subjects.entries()) {
    if (row === 'none') continue;
    const disk = await appliance.diskOf(id);
    const right = await appliance.rightRow(id, disk ?? DEFAULT_DISK);
    const wanted = free.findIndex((path) => path !== disk?.path);
    const letter =
      row === 'letter' ? (free.splice(wanted, wanted < 0 ? 0 : 1)[0] ?? `/dev/vdz${'abcdefg'[index]}`) : '';
    const change: Readonly<Record<string, Partial<NewMapping>>> = {
      letter: { devicePath: letter },
      plug: { diskseq: 999 },
      boot: { bootId: 'an earlier boot' },
      size: { size: GIB },
      missing: { devicePath: `missing-${id}`, linuxState: 'missing' },
      remote: appliance.remoteRow(id),
    };
    await appliance.putRow({ ...right, serial: right.serial ?? serial(id), ...change[row] });
  }
}

const DEFAULT_DISK = {
  name: 'vdq',
  path: '/dev/vdq',
  size: 5 * GIB,
  serial: null,
  serialState: 'read' as const,
  diskseq: 500,
  dev: null,
  controller: null,
};

function serial(id: string): string {
  return id.replaceAll('-', '').slice(0, 20);
}

async function writeExport(
  appliance: MemoryAppliance,
  { id, record, served }: Subject,
  subjects: readonly Subject[],
): Promise<void> {
  const { exports, guest } = appliance;
  const path = guest.devicePath(id);
  if (record !== 'none') await appliance.putExport(id, path ?? '/dev/vdq', record);
  const name = exportName(id);
  const foreign = subjects
    .map((other) => guest.devicePath(other.id))
    .find((one) => one !== null && one !== path);
  if (served === 'sick') exports.sick.add(name);
  if (served === 'right' || served === 'sick') exports.links.set(name, path);
  else if (served === 'elsewhere') exports.links.set(name, foreign ?? '/dev/vda');
  else if (served === 'nowhere') exports.links.set(name, null);
}
