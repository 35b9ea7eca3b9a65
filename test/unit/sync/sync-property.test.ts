import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Device } from '~/server/devices/device';
import { exportName } from '~/server/model/export-name';
import type { ExportRecord, Mapping } from '~/server/model/operation';
import type { SyncReport } from '~/server/sync/drift';
import type { MemoryAppliance } from './appliance';
import { build, type DrawnWorld, type DriftWorld, drawnWorld, type Subject } from './drift-worlds';

const RUNS = Number(process.env.SYNC_RUNS ?? 2_000);

/** What a right daemon would leave behind, from the truth alone. */
interface Expected {
  readonly row: Partial<Mapping> | null;
  readonly record: Partial<ExportRecord> | null;
  /** Where the export leads; null = nowhere. */
  readonly target: string | null;
  /** The drift that only a person can end. */
  readonly unsafe: 'ghost-disk' | 'phantom-attach' | 'size-mismatch' | 'not-visible' | null;
}

interface State {
  readonly row: Mapping | null;
  readonly record: ExportRecord | null;
  readonly target: string | null;
}

async function stateOf({ ledger, exports }: MemoryAppliance, id: string): Promise<State> {
  const [row, record] = await Promise.all([ledger.readMapping(id), ledger.readExport(id)]);
  return { row, record, target: exports.links.get(exportName(id)) ?? null };
}

class Oracle {
  constructor(
    private readonly world: DriftWorld,
    private readonly before: ReadonlyMap<string, State>,
  ) {}

  /** What should be, by what CloudStack and the guest really have. */
  async expect(subject: Subject): Promise<Expected> {
    const { appliance } = this.world;
    const { id, cloud, disk, row, inFlight } = subject;
    const was = this.was(id);
    const local = row !== 'none' && row !== 'remote';
    if (inFlight) return { ...was, unsafe: null };
    const unsafe = disk === 'none' ? null : ('ghost-disk' as const);
    switch (cloud) {
      case 'here':
        return disk === 'none' ? this.phantom(subject, was) : this.present(subject, was);
      case 'elsewhere': {
        const there = row === 'none' ? null : appliance.remoteRow(id);
        return { row: there, record: null, target: null, unsafe };
      }
      case 'detached':
      case 'absent':
        // Without a row nobody asks for the id, so that nothing is proven of its disk.
        if (cloud === 'absent' && row === 'none')
          return { row: null, record: null, target: null, unsafe: unsafe && 'not-visible' };
        return { row: null, record: null, target: null, unsafe };
      case 'hidden':
        return this.hidden(subject, was);
      case 'attaching': {
        const right = local && was.target === appliance.guest.devicePath(id);
        const kept = { row: was.row, record: was.record, target: right ? was.target : null };
        return { ...(this.losesPath(subject, was) ? lost(kept) : kept), unsafe: null };
      }
      default:
        return cloud satisfies never;
    }
  }

  private phantom({ row, record }: Subject, was: State): Expected {
    const missing = { linuxState: 'missing' as const, vmId: this.world.appliance.vmId };
    const kept = was.record && { status: record === 'active' ? ('failed' as const) : was.record.status };
    return { row: row === 'none' ? null : missing, record: kept, target: null, unsafe: 'phantom-attach' };
  }

  /** Nothing follows from its not being shown: only what the guest itself proves is put right. */
  private async hidden(subject: Subject, was: State): Promise<Expected> {
    const { disk, row } = subject;
    if (row === 'none')
      return { row: null, record: null, target: null, unsafe: disk === 'none' ? null : 'not-visible' };
    if (row === 'remote') return { row: was.row, record: null, target: null, unsafe: 'not-visible' };
    if (disk !== 'none') {
      const present = await this.present(subject, was);
      // How large the volume is now is not known: what was not exported is not exported anew.
      const kept = was.record?.status === 'active' || this.isBlocked(subject);
      const closed = kept ? {} : { record: was.record, target: null };
      return { ...present, ...closed, unsafe: 'not-visible' };
    }
    const kept = { row: was.row, record: was.record, target: null };
    return { ...(this.losesPath(subject, was) ? lost(kept) : kept), unsafe: 'not-visible' };
  }

  private async present(subject: Subject, was: State): Promise<Expected> {
    const { id, disk, row, record, cloud } = subject;
    const { appliance } = this.world;
    const local = row !== 'none' && row !== 'remote';
    const now = await appliance.diskOf(id);
    if (!now) throw new Error('the guest has lost a disk');
    if (disk === 'too small' && cloud === 'here') return this.tooSmall(subject, was, now);
    if (this.isBlocked(subject)) {
      const kept = { ...was, target: local ? was.target : null };
      return { ...(this.losesPath(subject, was) ? lost(kept) : kept), unsafe: null };
    }
    const right = await appliance.rightRow(id, now);
    if (record === 'withdrawn') return { row: right, record: was.record, target: null, unsafe: null };
    const active = { status: 'active' as const, devicePath: now.path };
    return { row: right, record: active, target: now.path, unsafe: null };
  }

  /** Never exported; a row of it names the disk, and keeps the size that it had when it fitted. */
  private async tooSmall(subject: Subject, was: State, now: Device): Promise<Expected> {
    const unsafe = 'size-mismatch' as const;
    const local = subject.row !== 'none' && subject.row !== 'remote';
    // A row for another VM is wrong in any case, and there is no disk that one for here could name.
    if (!local) return { row: null, record: null, target: null, unsafe };
    const record = was.record?.status === 'active' ? { status: 'failed' as const } : was.record;
    const kept = { row: was.row, record, target: null };
    if (this.isBlocked(subject)) return { ...(this.losesPath(subject, was) ? lost(kept) : kept), unsafe };
    const right = await this.world.appliance.rightRow(subject.id, now);
    return { ...kept, row: { ...right, size: was.row?.size ?? now.size }, unsafe };
  }

  /** The row of a volume in flight still has the letter of this one's disk: both are left alone. */
  private isBlocked({ id, row }: Subject): boolean {
    const path = this.world.appliance.guest.devicePath(id) ?? '';
    return row !== 'right' && this.rowsAt(path).some((other) => other.inFlight && other.id !== id);
  }

  /** Another volume proves to have the disk at the path of this row, and takes it. */
  private losesPath({ id }: Subject, was: State): boolean {
    const { appliance, subjects } = this.world;
    const path = was.row?.vmId === appliance.vmId ? was.row.devicePath : null;
    return subjects.some((other) => {
      const mapped = (other.row !== 'none' && other.row !== 'remote') || other.disk === 'fits';
      const local = other.row !== 'none' && other.row !== 'remote';
      const judged = other.cloud === 'here' ? mapped : other.cloud === 'hidden' && local;
      const moves = judged && !other.inFlight && !this.isBlocked(other);
      return path !== null && other.id !== id && moves && appliance.guest.devicePath(other.id) === path;
    });
  }

  private rowsAt(path: string): Subject[] {
    const { subjects, appliance } = this.world;
    return subjects.filter(({ id }) => {
      const { row } = this.was(id);
      return row?.devicePath === path && row.vmId === appliance.vmId;
    });
  }

  private was(id: string): State {
    return this.before.get(id) ?? { row: null, record: null, target: null };
  }
}

function lost({ row, record, target }: Omit<Expected, 'unsafe'>): Omit<Expected, 'unsafe'> {
  const failed = record?.status === 'active' ? { status: 'failed' as const } : record;
  return { row: row && { linuxState: 'missing' as const }, record: failed, target };
}

function matches(state: State, { row, record, target }: Expected): boolean {
  const agrees = (now: object | null, wanted: object | null) =>
    now === null || wanted === null
      ? now === wanted
      : Object.entries(wanted).every(([key, value]) => isDeepStrictEqual(Reflect.get(now, key), value));
  return agrees(state.row, row) && agrees(state.record, record) && state.target === target;
}

const kinds = (report: SyncReport, action: (one: string) => boolean) =>
  report.drifts.filter((drift) => action(drift.action)).map(({ kind, volumeId }) => `${kind} ${volumeId}`);
const any = () => true;

/** Figures over all worlds, printed at the end. */
const seen = { worlds: 0, volumes: 0, repaired: 0, reported: 0, left: 0, disturbed: 0 };

async function check(drawn: DrawnWorld): Promise<void> {
  const world = await build(drawn);
  const { appliance, subjects } = world;
  const before = new Map<string, State>();
  for (const { id } of subjects) before.set(id, await stateOf(appliance, id));
  const oracle = new Oracle(world, before);
  const expected = new Map<string, Expected>();
  for (const subject of subjects) expected.set(subject.id, await oracle.expect(subject));

  const untouched = appliance.everything();
  const dry = await appliance.sync.run({ dryRun: true, reason: 'test' });
  expect(appliance.everything(), 'a dry run writes nothing').toEqual(untouched);

  const called = appliance.calls().length;
  const changed = appliance.exports.changes.length;
  const real = await appliance.sync.run({ dryRun: false, reason: 'test' });
  expect(kinds(real, any), 'the dry run told what the real one does').toEqual(kinds(dry, any));
  // Without a row, an operation has named the volume of a disk that is here.
  const lookups = subjects.filter(
    ({ row, cloud, listed, inFlight, disk }) =>
      (row !== 'none' || (inFlight && disk !== 'none')) &&
      (!listed || cloud === 'absent' || cloud === 'hidden'),
  );
  // What says that CloudStack has it elsewhere is read once more, and so is what is to be exported; a denial
  // counts only from a key that sees our VM.
  const again = real.drifts.filter(({ kind }) =>
    ['ghost-disk', 'stale-mapping', 'phantom-attach', 'size-mismatch'].includes(kind),
  );
  const published = appliance.exports.changes.slice(changed).filter((change) => change.startsWith('publish'));
  const denied = again.filter(({ volumeId }) => volumeId !== null && appliance.never.has(volumeId));
  expect(appliance.calls(called).sort()).toEqual([
    ...Array(1 + denied.length).fill('listVirtualMachines'),
    ...Array(1 + lookups.length + again.length + published.length).fill('listVolumes'),
  ]);
  expect(appliance.model.effects, 'nothing is attached, detached or deleted').toEqual([]);
  expect(kinds(real, (action) => action === 'failed')).toEqual([]);

  for (const subject of subjects) {
    const { id, served } = subject;
    const [was, is, wanted] = [before.get(id), await stateOf(appliance, id), expected.get(id)];
    if (!was || !wanted) throw new Error('unknown volume');
    if (!matches(is, wanted)) seen.left += 1;
    expect(is, JSON.stringify(subject)).toSatisfy((state: State) => matches(state, wanted));
    if (matches(was, wanted) && served !== 'sick' && !(served === 'nowhere' && wanted.row === null)) {
      if (!isDeepStrictEqual(is, was)) seen.disturbed += 1;
      expect(is, `was right and was changed: ${JSON.stringify(subject)}`).toEqual(was);
    }
    if (is.record && was.record) expect(is.record.metadata.vm_name).toBe('kept');
  }

  const settled = appliance.everything();
  const second = await appliance.sync.run({ dryRun: false, reason: 'test' });
  expect(appliance.everything(), 'a second run changes nothing').toEqual(settled);
  expect(kinds(second, (action) => action !== 'reported')).toEqual([]);
  const unsafe = subjects.flatMap(({ id, listed, cloud }) => {
    const one = expected.get(id);
    if (!one?.unsafe) return [];
    // Its row was what the volume was looked up for: without it nobody knows whose disk that is.
    const forgotten = one.row === null && (!listed || cloud === 'absent');
    return [forgotten ? 'not-visible' : one.unsafe];
  });
  expect(second.drifts.map(({ kind }) => kind).sort()).toEqual(unsafe.sort());
  for (const { remedy } of second.drifts) expect(remedy).toMatch(/virsh|POST \/api|lsblk|cmk list volumes/);

  seen.worlds += 1;
  seen.volumes += subjects.length;
  seen.repaired += kinds(real, (action) => action === 'repaired').length;
  seen.reported += second.drifts.length;
}

describe('random combinations of drifts', () => {
  it(`one run repairs what can be repaired, changes nothing that is right, and a second run is empty, ${RUNS} worlds`, async () => {
    await fc.assert(fc.asyncProperty(drawnWorld, check), { numRuns: RUNS });
    console.log(
      `sync: ${seen.worlds} worlds with ${seen.volumes} volumes: ${seen.repaired} drifts repaired, ${seen.reported} left to a person; ` +
        `${seen.left} repairable drifts left, ${seen.disturbed} right things changed`,
    );
    expect({ left: seen.left, disturbed: seen.disturbed }).toEqual({ left: 0, disturbed: 0 });
  }, 600_000);
});
