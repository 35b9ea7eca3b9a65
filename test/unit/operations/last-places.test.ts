import { describe, expect, it } from 'vitest';
import type { CloudVolume } from '~/server/cloudstack/cloud';
import { LIMITS } from '~/server/core/limits';
import type { Evidence } from '~/server/model/evidence';
import type { OperationFilter } from '~/server/model/ledger';
import type { JournalEntry, Operation } from '~/server/model/operation';
import { LastPlaces } from '~/server/operations/execute/last-places';
import { withLimits } from '~/test/support/with-limits';
import { ManualClock } from '../devices/manual-clock';
import { ATTACHED_AT, LATER } from './mutations';
import { APPLIANCE, gone, hidden, OTHER_VM, type Step, seenVolume, situation, VOLUME } from './situations';

const MISSING = 'a-volume-of-nobody';
const free = seenVolume();
const onOther = seenVolume({ vmId: OTHER_VM, deviceId: 1, attached: ATTACHED_AT });
const anew = seenVolume({ vmId: OTHER_VM, deviceId: 1, attached: LATER });
const onAppliance = seenVolume({ vmId: APPLIANCE, deviceId: 1, attached: LATER });

/** A call and its end. */
function call(step: string, end: object, about: object = {}): Step[] {
  const job_id = `job of ${step}`;
  const state = 'outcome' in end ? 'finished' : 'refused';
  return [
    [step, 'intent', { job_id, ...about }],
    [step, state, { job_id, ...end }],
  ];
}

const OK = { outcome: 'ok' };
const UNKNOWN = { outcome: 'unknown' };
const REFUSED = { code: 431, text: 'no' };
const PLUG = { vm_id: OTHER_VM, device_id: 1, attached_at: ATTACHED_AT };
const detached = call('detach-volume', OK, PLUG);
const attached = call('attach-volume', OK, { vm_id: OTHER_VM });

interface Ended {
  readonly operation: Operation;
  readonly steps: readonly Step[];
}

function ended(steps: readonly Step[], status: Operation['status'] = 'completed', id = 'before'): Ended {
  const s = situation('detach', { volume_id: VOLUME });
  return { operation: { ...s.operation, id, status }, steps };
}

/** The journal of an operation that is looking. */
function journalOf(steps: readonly Step[]) {
  return situation('detach', { volume_id: VOLUME }, { steps }).journal;
}

/** With what earlier owners have left in the database, newest first. */
function world(inLedger: readonly Ended[] = []) {
  const clock = new ManualClock();
  let asked = 0;
  let whileAsked: () => void = () => {};
  const ledger = {
    async listOperations({ limit, before = Number.POSITIVE_INFINITY }: OperationFilter) {
      asked += 1;
      whileAsked();
      return inLedger
        .map(({ operation }, index) => ({ ...operation, sequence: inLedger.length - index }))
        .filter(({ sequence }) => sequence < before)
        .slice(0, limit);
    },
    async readJournal(id: string): Promise<JournalEntry[]> {
      const found = inLedger.find(({ operation }) => operation.id === id);
      return [...journalOf(found?.steps ?? []).entries];
    },
  };
  const places = new LastPlaces(ledger, clock);
  const note = ({ operation, steps }: Ended) => places.note(operation, journalOf(steps));
  const look = (shown: Evidence<CloudVolume>, steps: readonly Step[] = [], volumeId = VOLUME) =>
    places.doubt(volumeId, shown, { id: 'looking', journal: journalOf(steps) });
  return {
    clock,
    note,
    look,
    asked: () => asked,
    meanwhile: (change: () => void) => {
      whileAsked = change;
    },
  };
}

/** What a look is taken for, right after this operation has ended. */
async function taken(before: Ended, shown: Evidence<CloudVolume>, looking: readonly Step[] = []) {
  const { note, look } = world();
  note(before);
  return (await look(shown, looking)).kind;
}

describe('where an operation has just left a volume', () => {
  it.each([
    ['detached', detached],
    ['detached, by an undo', [...attached, ...call('undo-detach-volume', OK, PLUG)]],
    ['detached, as it was made', call('create-volume', OK)],
    ['detached, before another call was refused', [...detached, ...call('attach-volume', REFUSED)]],
    ['detached, before something else was done', [...detached, ...call('create-snapshot', OK)]],
    [
      'detached, and it waited for something afterwards',
      [...detached, ['attach-volume', 'waiting', { reason: 'busy' }] as Step],
    ],
  ])('%s: a look that shows it elsewhere may be older', async (_where, steps) => {
    expect(await taken(ended(steps), onAppliance)).toBe('unknown');
    expect(await taken(ended(steps), onOther)).toBe('unknown');
    expect(await taken(ended(steps), gone())).toBe('unknown');
    expect(await taken(ended(steps), free)).toBe('seen');
  });

  it('on a VM', async () => {
    expect(await taken(ended(attached), onOther)).toBe('seen');
    for (const shown of [free, onAppliance, gone()])
      expect(await taken(ended(attached), shown)).toBe('unknown');
  });

  it('deleted; not where it was put into the trash, or where that has failed', async () => {
    const remove = (about: object = {}) => call('delete-volume', OK, about);
    expect(await taken(ended(remove()), gone())).toBe('absent');
    expect(await taken(ended(remove()), free)).toBe('unknown');
    expect(await taken(ended(remove({ expunge: false })), free)).toBe('seen');
    expect(await taken(ended(remove(), 'failed'), free)).toBe('seen');
  });

  it('is not known where its last call has no end, unless it has reached its goal', async () => {
    for (const steps of [
      call('detach-volume', UNKNOWN, PLUG),
      call('detach-volume', { outcome: 'failed', code: 530 }, PLUG),
      [['detach-volume', 'intent', { job_id: 'j', ...PLUG }] as Step],
      [...detached, ...call('attach-volume', UNKNOWN, { vm_id: OTHER_VM })],
    ])
      expect(await taken(ended(steps, 'failed'), onAppliance), JSON.stringify(steps)).toBe('seen');
    expect(await taken(ended(call('detach-volume', UNKNOWN, PLUG)), onAppliance)).toBe('unknown');
    const unsure = [...call('attach-volume', UNKNOWN, { vm_id: OTHER_VM }), ...detached];
    expect(await taken(ended(unsure, 'failed'), onAppliance), 'the last one has an end').toBe('unknown');
  });

  it('is not known where an older journal does not say to which VM', async () => {
    for (const shown of [free, onOther])
      expect(await taken(ended(call('attach-volume', OK)), shown)).toBe('seen');
  });

  it('is nowhere where CloudStack was not asked to move it', async () => {
    for (const steps of [[], call('detach-volume', REFUSED, PLUG), call('create-snapshot', OK)])
      expect(await taken(ended(steps), onAppliance)).toBe('seen');
  });

  it('is told with who has left it there', async () => {
    const { note, look } = world();
    note(ended(detached));
    expect(await look(onAppliance)).toMatchObject({
      kind: 'unknown',
      why: `operation before has just left it detached, and CloudStack shows it on VM ${APPLIANCE}`,
    });
  });

  it('is told as deleted where it was', async () => {
    const { note, look } = world();
    note(ended(call('delete-volume', OK)));
    expect(await look(free)).toMatchObject({
      why: 'operation before has just deleted it, and CloudStack shows it detached',
    });
  });

  it('counts for a while, and for that volume alone', async () => {
    const { clock, note, look } = world();
    note(ended(detached));
    expect((await look(onAppliance, [], MISSING)).kind).toBe('seen');
    await clock.advance(LIMITS.READ_SETTLE_MS);
    expect((await look(onAppliance)).kind).toBe('unknown');
    await clock.advance(1);
    expect((await look(onAppliance)).kind).toBe('seen');
  });

  it('is the own to judge of an operation that has moved or deleted it since', async () => {
    for (const step of ['attach-volume', 'detach-volume', 'undo-detach-volume'])
      expect(await taken(ended(detached), onAppliance, call(step, OK)), step).toBe('seen');
    expect(await taken(ended(detached), gone(), call('attach-volume', OK)), 'but not that it is gone').toBe(
      'unknown',
    );
    expect(await taken(ended(detached), gone(), call('delete-volume', OK))).toBe('absent');
    expect(await taken(ended(detached), onAppliance, call('attach-volume', REFUSED))).toBe('unknown');
  });

  it('not in the trash, and with storage: a look that shows it so may be older', async () => {
    const [inTrash, bare] = [seenVolume({ state: 'Destroy' }), seenVolume({ state: 'Allocated' })];
    const recovered = call('recover-volume', OK);
    for (const steps of [detached, call('create-volume', OK), recovered])
      expect(await taken(ended(steps), inTrash), JSON.stringify(steps)).toBe('unknown');
    for (const steps of [detached, [...attached, ...detached], recovered])
      expect(await taken(ended(steps), bare), JSON.stringify(steps)).toBe('unknown');
    expect(await taken(ended(call('create-volume', OK)), bare)).toBe('seen');
    expect(await taken(ended(recovered), free)).toBe('seen');
    expect(await taken(ended(recovered), onOther)).toBe('unknown');
  });

  it('in the trash, perhaps, where it was put there, or where the looking operation changes that', async () => {
    const inTrash = seenVolume({ state: 'Destroy' });
    const removed = call('delete-volume', OK, { expunge: false });
    expect(await taken(ended([...detached, ...removed]), inTrash)).toBe('seen');
    const { note, look } = world();
    note(ended(call('recover-volume', OK)));
    note(ended(removed, 'completed', 'again'));
    expect((await look(inTrash)).kind).toBe('seen');
    for (const step of ['delete-volume', 'recover-volume'])
      expect(await taken(ended(detached), inTrash, call(step, UNKNOWN)), step).toBe('seen');
  });

  it('with storage also for an operation that has detached it itself', async () => {
    const bare = seenVolume({ state: 'Allocated' });
    expect(await taken(ended(call('attach-volume', OK, { vm_id: OTHER_VM })), bare, detached)).toBe(
      'unknown',
    );
  });

  it('without storage where it is attached: its VM was never started, and the look is not older than that', async () => {
    const onUnstarted = seenVolume({ vmId: OTHER_VM, deviceId: 1, attached: LATER, state: 'Allocated' });
    expect(await taken(ended(attached), onUnstarted)).toBe('seen');
  });

  it('is told as deleted where it is shown in the trash', async () => {
    const { note, look } = world();
    note(ended(detached));
    expect(await look(seenVolume({ state: 'Destroy' }))).toMatchObject({
      why: 'operation before has just left it detached, and CloudStack shows it in state Destroy',
    });
  });

  it('says nothing about a look that has shown nothing, and nothing of an operation without a volume', async () => {
    expect(await taken(ended(detached), hidden())).toBe('unknown');
    const { note, look } = world([ended(detached)]);
    note({ ...ended(detached), operation: { ...ended(detached).operation, volumeId: '' } });
    const shown = hidden();
    expect(await look(shown)).toBe(shown);
    expect((await look(onAppliance, [], '')).kind).toBe('seen');
  });
});

describe('a plug that an operation has just ended', () => {
  const again = ended(attached, 'completed', 'again');

  it('is not the one in which the next operation has left the volume, though it is of the same VM', async () => {
    const { note, look } = world();
    note(ended(detached));
    note(again);
    expect(await look(onOther)).toMatchObject({
      kind: 'unknown',
      why: expect.stringContaining('just detached'),
    });
    expect((await look(anew)).kind).toBe('seen');
  });

  it('is not either where one operation has ended it and plugged it in again, or nobody knows where it is', async () => {
    expect(await taken(ended([...detached, ...attached]), onOther)).toBe('unknown');
    expect(await taken(ended([...detached, ...attached]), anew)).toBe('seen');
    const lost = [...detached, ...call('attach-volume', UNKNOWN, { vm_id: OTHER_VM })];
    expect(await taken(ended(lost, 'failed'), onOther)).toBe('unknown');
    expect(await taken(ended(lost, 'failed'), anew)).toBe('seen');
  });

  it('is not the one in which the looking operation has plugged it in since, whatever its job has said', async () => {
    for (const own of [
      call('attach-volume', OK, { vm_id: OTHER_VM }),
      call('attach-volume', OK, { vm_id: APPLIANCE }),
      call('attach-volume', UNKNOWN, { vm_id: OTHER_VM }),
      call('attach-volume', REFUSED, { vm_id: OTHER_VM }),
      call('delete-volume', UNKNOWN, {}),
    ])
      expect(await taken(ended(detached), onOther, own), JSON.stringify(own)).toBe('unknown');
    const own = call('attach-volume', OK, { vm_id: OTHER_VM });
    expect(await taken(ended(detached), anew, own)).toBe('seen');
  });

  it('is that of the try which has ended it, on its VM; one of which nobody knows that it worked has ended none', async () => {
    const tries: Step[] = [
      ['detach-volume', 'intent', { job_id: 'first', ...PLUG, attached_at: LATER }],
      ['detach-volume', 'finished', { job_id: 'first', outcome: 'failed', code: 530 }],
      ...detached,
      ...attached,
    ];
    expect(await taken(ended(tries), onOther)).toBe('unknown');
    expect(await taken(ended(tries), anew)).toBe('seen');
    const unsure = [...call('detach-volume', UNKNOWN, PLUG), ...attached];
    expect(await taken(ended(unsure), onOther)).toBe('seen');
    const away = [...detached, ...call('attach-volume', OK, { vm_id: APPLIANCE })];
    const sameTime = seenVolume({ vmId: APPLIANCE, deviceId: 1, attached: ATTACHED_AT });
    expect(await taken(ended(away), sameTime)).toBe('seen');
  });

  it('is nobody’s where the intent did not say when it was made', async () => {
    const unnamed = call('detach-volume', OK, { vm_id: OTHER_VM, device_id: 1 });
    const { note, look } = world();
    note(ended(unnamed));
    note(again);
    expect((await look(onOther)).kind).toBe('seen');
    const undated = seenVolume({ vmId: OTHER_VM, deviceId: 1, attached: null });
    expect((await look(undated)).kind).toBe('seen');
  });

  it('is forgotten after a while, also where the next operation is newer', async () => {
    const { clock, note, look } = world();
    note(ended(detached));
    await clock.advance(LIMITS.READ_SETTLE_MS - 1);
    note(again);
    expect((await look(onOther)).kind).toBe('unknown');
    await clock.advance(2);
    expect((await look(onOther)).kind).toBe('seen');
    expect((await look(free)).kind, 'and what the next one has done is not').toBe('unknown');
  });
});

describe('an owner that has just begun', () => {
  it('takes the last operation of the volume for one that has ended just then', async () => {
    const { clock, look } = world([ended(detached)]);
    await clock.advance(LIMITS.READ_SETTLE_MS);
    expect((await look(onAppliance)).kind).toBe('unknown');
    await clock.advance(1);
    expect((await look(onAppliance)).kind).toBe('seen');
  });

  it('looks in the database once, and not at all later', async () => {
    const one = world([ended(detached)]);
    for (let n = 0; n < 3; n += 1) await one.look(onAppliance);
    expect(one.asked()).toBe(1);
    const late = world([ended(detached)]);
    await late.clock.advance(LIMITS.READ_SETTLE_MS + 1);
    expect((await late.look(onAppliance)).kind).toBe('seen');
    expect(late.asked()).toBe(0);
  });

  it('does not take what executes, what looks itself, or what has moved nothing', async () => {
    const others = [
      ended(attached, 'executing', 'running'),
      ended(attached, 'completed', 'looking'),
      ended([], 'completed', 'idle'),
      ended(call('create-snapshot', OK), 'completed', 'snapshot'),
      ended(detached),
    ];
    expect((await world(others).look(onOther)).kind).toBe('unknown');
    expect((await world(others).look(free)).kind).toBe('seen');
    expect((await world(others.slice(0, 4)).look(onOther)).kind).toBe('seen');
  });

  it('passes over a long queue, and all that has moved nothing since', async () => {
    const queue = Array.from({ length: LIMITS.RECENT_OPERATIONS }, (_, n) =>
      ended([], n % 2 === 0 ? 'pending' : 'completed', `later-${n}`),
    );
    const { look, asked } = world([...queue, ended(detached)]);
    expect((await look(onOther)).kind).toBe('unknown');
    expect(asked()).toBe(2);
    await withLimits({ OPERATIONS_LOOKED_THROUGH: queue.length }, async () => {
      expect((await world([...queue, ended(detached)]).look(onOther)).kind).toBe('seen');
    });
  });

  it('knows better what has ended while it looked there', async () => {
    const { look, note, meanwhile } = world([ended(detached)]);
    meanwhile(() => note(ended(attached, 'completed', 'meanwhile')));
    expect((await look(free)).kind).toBe('unknown');
    expect((await look(anew)).kind).toBe('seen');
  });
});
