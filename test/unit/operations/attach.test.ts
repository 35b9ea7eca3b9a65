import { describe, expect, it } from 'vitest';
import { LIMITS } from '~/server/core/limits';
import { expectedSerial } from '~/server/devices/serial';
import { absent, seen } from '~/server/model/evidence';
import { decideAttach } from '~/server/operations/decide/attach';
import { GIB, Rig } from './rig';
import {
  APPLIANCE,
  CLIENT,
  device,
  found,
  gone,
  guards,
  MOUNT,
  mapped,
  mapping,
  OTHER_VM,
  rowOf,
  type Step,
  seenVolume,
  situation,
  usedBy,
  VOLUME,
} from './situations';

const here = { volume_id: VOLUME, vm_id: APPLIANCE };
const intent: Step = ['attach-volume', 'intent', { job_id: 'j1' }];
const accepted: Step = ['attach-volume', 'accepted', { job_id: 'j1' }];
const ok: Step = ['attach-volume', 'finished', { job_id: 'j1', outcome: 'ok' }];
const clear = { openJobs: 0, conflictingOperation: null };
const attached = seenVolume({ vmId: APPLIANCE, deviceId: 1 });
/** What contradicts the rows has stayed so for as long as it is doubted. */
const doubted = { 'attached-unasked': LIMITS.READ_SETTLE_MS + 1 };

describe('an attach whose disk does not stay', () => {
  const replug = async (rig: Rig, id: string) => {
    rig.guest.surpriseUnplug(id);
    await rig.guest.plug({ volumeId: id, size: 5 * GIB, serial: expectedSerial(id) });
  };

  it.each([
    ['it comes and goes', replug],
    ['its row is deleted', async (rig: Rig) => rig.store.mappings.clear()],
  ])('%s each time it was mapped: it ends and says so', async (_story, disturb) => {
    const rig = await Rig.start();
    const { id } = await rig.volume();
    rig.domain.events.onEntry(({ step, state }) => {
      if (step === 'map' && state === 'done') void disturb(rig, id);
    });
    const attach = await rig.run('attach', { volume_id: id, vm_id: rig.here });
    expect(attach).toMatchObject({ status: 'failed', errorCode: 'DEVICE_IDENTITY_MISMATCH' });
    expect(attach.error).toContain(`was mapped ${LIMITS.MAPS_PER_ATTACH} times`);
    const entries = await rig.journal(attach.id);
    expect(entries.filter(({ step }) => step === 'map')).toHaveLength(LIMITS.MAPS_PER_ATTACH);
    expect([rig.calls, rig.exported(id)]).toEqual([['attachVolume'], false]);
  });
});

describe('attach decides', () => {
  it('reads the volume before anything else', () => {
    expect(decideAttach(situation('attach', here))).toMatchObject({ do: 'read-volume', volumeId: VOLUME });
  });

  it('does not call a volume attached that is on its way out, wherever CloudStack shows it', () => {
    for (const state of ['Destroying', 'Expunging'])
      for (const vm_id of [APPLIANCE, OTHER_VM]) {
        const facts = {
          volume: seenVolume({ vmId: vm_id, state }),
          obstacles: clear,
          mapping: rowOf(mapping({ vmId: vm_id })),
        };
        expect(decideAttach(situation('attach', { ...here, vm_id }, { facts }))).toMatchObject({
          data: { code: 'VOLUME_STATE', message: expect.stringContaining(state) },
        });
      }
  });

  it('refuses a volume that CloudStack does not have, and one that another VM has, naming that VM', () => {
    expect(decideAttach(situation('attach', here, { facts: { volume: gone() } }))).toMatchObject({
      state: 'failing',
      data: { code: 'VOLUME_NOT_FOUND' },
    });
    expect(
      decideAttach(
        situation('attach', here, { facts: { volume: seenVolume({ vmId: OTHER_VM }), obstacles: clear } }),
      ),
    ).toMatchObject({
      state: 'failing',
      data: { code: 'VOLUME_ATTACHED_ELSEWHERE', message: expect.stringContaining(OTHER_VM) },
    });
  });

  it('never sends before earlier jobs of the volume have ended (an open detach would undo the attach)', () => {
    const ready = { volume: seenVolume() };
    expect(decideAttach(situation('attach', here, { facts: ready }))).toMatchObject({ do: 'read-obstacles' });
    expect(
      decideAttach(
        situation('attach', here, {
          facts: { ...ready, obstacles: { openJobs: 1, conflictingOperation: null } },
        }),
      ),
    ).toMatchObject({ do: 'pause' });
    expect(
      decideAttach(situation('attach', here, { facts: { ...ready, obstacles: clear, gone: true } })),
    ).toEqual({
      do: 'intend',
      step: 'attach-volume',
      data: { volume_id: VOLUME, vm_id: APPLIANCE, device_id: null },
    });
  });

  it('does not take "attached already" for an answer while an earlier detach job is still running', () => {
    for (const vmId of [here.vm_id, OTHER_VM]) {
      const facts = { volume: seenVolume({ vmId, deviceId: 1 }) };
      expect(decideAttach(situation('attach', here, { facts }))).toMatchObject({ do: 'read-obstacles' });
      const obstacles = { openJobs: 1, conflictingOperation: null };
      expect(decideAttach(situation('attach', here, { facts: { ...facts, obstacles } }))).toMatchObject({
        do: 'pause',
        forget: ['obstacles', 'volume'],
      });
    }
  });

  it('never sends while the guest still shows the disk of an earlier plug (ghost disk)', () => {
    const facts = { volume: seenVolume(), obstacles: clear };
    expect(decideAttach(situation('attach', here, { facts }))).toMatchObject({ do: 'await-gone' });
    expect(decideAttach(situation('attach', here, { facts: { ...facts, gone: false } }))).toMatchObject({
      data: { code: 'DEVICE_STILL_PRESENT' },
    });
  });

  it('another VM does not get a volume whose disk this guest still has: it would have two writers', () => {
    const facts = { volume: seenVolume(), obstacles: clear };
    expect(
      decideAttach(situation('attach', { volume_id: VOLUME, vm_id: OTHER_VM }, { facts })),
    ).toMatchObject({ do: 'await-gone' });
    expect(
      decideAttach(
        situation('attach', { volume_id: VOLUME, vm_id: OTHER_VM }, { facts: { ...facts, gone: false } }),
      ),
    ).toMatchObject({
      data: { code: 'DEVICE_STILL_PRESENT' },
    });
  });

  it('waits while CloudStack is busy with the volume', () => {
    expect(
      decideAttach(situation('attach', here, { facts: { volume: seenVolume({ state: 'Migrating' }) } })),
    ).toMatchObject({ do: 'pause', forget: ['volume'] });
  });

  it('begins an intent of this run at once with the last look, but asks for the job of an intent that a dead process left', () => {
    expect(
      decideAttach(situation('attach', here, { steps: [intent], facts: { unsent: 'j1' } })),
    ).toMatchObject({ do: 'read-guards', jobId: 'j1' });
    expect(decideAttach(situation('attach', here, { steps: [intent] }))).toEqual({
      do: 'query-job',
      jobId: 'j1',
    });
  });

  it('sends nothing without the guards of this very job, and with them the same job id', () => {
    const facts = { unsent: 'j1', guards: guards({ volume: seenVolume() }) };
    expect(decideAttach(situation('attach', here, { steps: [intent], facts }))).toMatchObject({
      do: 'send',
      jobId: 'j1',
      resent: false,
      command: { name: 'attachVolume', volumeId: VOLUME, vmId: APPLIANCE, deviceId: null },
    });
    const older = { ...facts, guards: { ...facts.guards, jobId: 'j0' } };
    expect(decideAttach(situation('attach', here, { steps: [intent], facts: older }))).toMatchObject({
      do: 'read-guards',
    });
  });

  it('sends again under the same job id only when the denial of the job is believed, and looks again before', () => {
    const denied = {
      job: { jobId: 'j1', found: 'denied' as const },
      guards: guards({ volume: seenVolume() }),
    };
    expect(decideAttach(situation('attach', here, { steps: [intent], facts: denied }))).toMatchObject({
      do: 'back-off',
      forget: ['job'],
    });
    const absent = { job: { jobId: 'j1', found: 'absent' as const } };
    expect(decideAttach(situation('attach', here, { steps: [intent], facts: absent }))).toMatchObject({
      do: 'read-guards',
      jobId: 'j1',
    });
    const looked = { ...absent, guards: denied.guards };
    expect(decideAttach(situation('attach', here, { steps: [intent], facts: looked }))).toMatchObject({
      do: 'send',
      jobId: 'j1',
      resent: true,
    });
    const pending = {
      jobId: 'j1',
      status: 'pending' as const,
      errorCode: null,
      errorText: null,
      volumeId: null,
      snapshotId: null,
      plug: null,
    };
    expect(
      decideAttach(
        situation('attach', here, { steps: [intent], facts: { job: { jobId: 'j1', found: pending } } }),
      ),
    ).toMatchObject({ do: 'record', state: 'accepted' });
    expect(decideAttach(situation('attach', here, { steps: [intent, accepted] }))).toMatchObject({
      do: 'await-job',
      jobId: 'j1',
      vmId: APPLIANCE,
    });
  });

  it('after a lost reply of a call that reached CloudStack, and a lost job, only the volume shows what happened', () => {
    const facts = { job: { jobId: 'j1', found: 'absent' as const } };
    expect(decideAttach(situation('attach', here, { steps: [intent], facts }))).toMatchObject({
      do: 'read-guards',
      jobId: 'j1',
    });
    const taken = { ...facts, taken: 'j1' };
    expect(decideAttach(situation('attach', here, { steps: [intent], facts: taken }))).toMatchObject({
      do: 'record',
      state: 'finished',
      data: { job_id: 'j1', outcome: 'unknown' },
    });
  });

  it('re-reads after the job, whatever the job said', () => {
    expect(decideAttach(situation('attach', here, { steps: [intent, accepted, ok] }))).toMatchObject({
      do: 'read-volume',
    });
  });

  it('goes on when a "failed" job had its effect, and tries again when a lost one had none', () => {
    const lost: Step = ['attach-volume', 'finished', { job_id: 'j1', outcome: 'unknown', code: 530 }];
    expect(
      decideAttach(
        situation('attach', here, { steps: [intent, accepted, lost], facts: { volume: attached } }),
      ),
    ).toMatchObject({ do: 'await-device' });
    const without = { volume: seenVolume(), obstacles: clear, gone: true };
    expect(
      decideAttach(situation('attach', here, { steps: [intent, accepted, lost], facts: without })),
    ).toMatchObject({ do: 'back-off' });
    expect(
      decideAttach(
        situation('attach', here, {
          steps: [intent, accepted, lost],
          facts: without,
          elapsed: { 'contradiction:attach-volume:1': 16_000, 'attach-volume:1': 9 },
        }),
      ),
    ).toMatchObject({ do: 'intend' });
  });

  it('gives up on a final refusal with the text of CloudStack', () => {
    const refused: Step = [
      'attach-volume',
      'refused',
      { job_id: 'j1', code: 431, text: 'Please specify a valid User VM.' },
    ];
    expect(
      decideAttach(situation('attach', here, { steps: [intent, refused], facts: { volume: seenVolume() } })),
    ).toMatchObject({
      state: 'failing',
      data: {
        code: 'VM_NOT_FOUND',
        message: expect.stringContaining('CloudStack API error 431: Please specify a valid User VM.'),
      },
    });
  });

  it('maps in one transaction before it publishes, and completes with the publish', () => {
    const facts = { volume: attached, device: found, use: usedBy() };
    expect(decideAttach(situation('attach', here, { steps: [intent, accepted, ok], facts }))).toMatchObject({
      do: 'record',
      step: 'map',
      effects: [{ kind: 'put-mapping', mapping: { devicePath: '/dev/vdb', diskseq: 7 } }],
    });
    const steps = [intent, accepted, ok, mapped];
    expect(decideAttach(situation('attach', here, { steps, facts }))).toMatchObject({
      do: 'publish',
      volumeId: VOLUME,
      completes: { device_path: '/dev/vdb', export_name: `migration-vol-${VOLUME}` },
    });
    expect(
      decideAttach(situation('attach', here, { steps, facts: { ...facts, published: true } })),
    ).toMatchObject({ do: 'complete', response: { device_path: '/dev/vdb' } });
  });

  it('asks who uses the disk before it maps it, and maps none that the system uses', () => {
    const steps = [intent, accepted, ok];
    const facts = { volume: attached, device: found };
    expect(decideAttach(situation('attach', here, { steps, facts }))).toMatchObject({
      do: 'read-device-users',
      device: found.device,
    });
    const used = { ...facts, use: usedBy(MOUNT) };
    expect(decideAttach(situation('attach', here, { steps, facts: used }))).toMatchObject({
      state: 'failing',
      data: { code: 'DEVICE_IN_USE', details: { device_path: '/dev/vdb', holders: [MOUNT] } },
    });
    const served = { ...facts, use: usedBy(CLIENT) };
    expect(decideAttach(situation('attach', here, { steps, facts: served }))).toMatchObject({ step: 'map' });
  });

  it('gives up at once when the export server refuses a disk that is used meanwhile', () => {
    const publishError = { code: 'DEVICE_IN_USE' as const, message: 'mounted' };
    const facts = { volume: attached, device: found, use: usedBy(), publishError };
    const steps = [intent, accepted, ok, mapped];
    expect(decideAttach(situation('attach', here, { steps, facts }))).toMatchObject({
      state: 'failing',
      data: { code: 'DEVICE_IN_USE' },
    });
  });

  it('maps again when the device has changed between mapping and publishing', () => {
    const facts = {
      volume: attached,
      device: { ...found, device: device({ name: 'vdc', path: '/dev/vdc', diskseq: 9 }) },
      use: usedBy(),
    };
    expect(
      decideAttach(situation('attach', here, { steps: [intent, accepted, ok, mapped], facts })),
    ).toMatchObject({ do: 'record', step: 'map', data: { device_path: '/dev/vdc' } });
  });

  it('touches neither device nor export for a VM that is not the appliance', () => {
    const there = { volume_id: VOLUME, vm_id: OTHER_VM };
    const known = { volume: seenVolume({ vmId: OTHER_VM, deviceId: 1 }), obstacles: clear };
    expect(decideAttach(situation('attach', there, { facts: known }))).toMatchObject({ do: 'read-mapping' });
    const asking = { ...known, mapping: absent('no row', 0, 'database') };
    expect(decideAttach(situation('attach', there, { facts: asking }))).toMatchObject({
      do: 'back-off',
      forget: expect.arrayContaining(['volume', 'mapping']),
    });
    expect(decideAttach(situation('attach', there, { facts: asking, elapsed: doubted }))).toEqual({
      do: 'read-neighbour',
      vmId: OTHER_VM,
    });
    const facts = { ...asking, neighbours: new Map([[OTHER_VM, null]]) };
    expect(decideAttach(situation('attach', there, { facts, elapsed: doubted }))).toMatchObject({
      do: 'record',
      effects: [
        {
          kind: 'put-mapping',
          mapping: { linuxState: 'n/a', devicePath: `remote-vm-${OTHER_VM}-${VOLUME}` },
        },
      ],
    });
    const steps: Step[] = [['map', 'done', {}]];
    expect(decideAttach(situation('attach', there, { facts, steps, elapsed: doubted }))).toMatchObject({
      do: 'complete',
    });
  });

  it('a volume that somebody has moved from here to another VM is no longer exported before its row follows', () => {
    const there = { volume_id: VOLUME, vm_id: OTHER_VM };
    const facts = {
      volume: seenVolume({ vmId: OTHER_VM, deviceId: 1 }),
      obstacles: clear,
      mapping: seen(mapping(), 0, 'database'),
      neighbours: new Map([[OTHER_VM, null]]),
    };
    expect(decideAttach(situation('attach', there, { facts }))).toMatchObject({ do: 'back-off' });
    expect(decideAttach(situation('attach', there, { facts, elapsed: doubted }))).toMatchObject({
      do: 'withdraw',
      force: true,
    });
    const steps: Step[] = [['withdraw', 'done', {}]];
    expect(decideAttach(situation('attach', there, { facts, steps, elapsed: doubted }))).toMatchObject({
      step: 'map',
    });
  });

  it('nor is one whose row here somebody has deleted', () => {
    const there = { volume_id: VOLUME, vm_id: OTHER_VM };
    const facts = {
      volume: seenVolume({ vmId: OTHER_VM, deviceId: 1 }),
      obstacles: clear,
      mapping: rowOf(null),
      neighbours: new Map([[OTHER_VM, null]]),
    };
    const about = (exported: boolean) =>
      situation('attach', there, { facts: { ...facts, exported }, elapsed: doubted });
    expect(decideAttach(about(true))).toMatchObject({ do: 'withdraw', force: true });
    expect(decideAttach(about(false))).toMatchObject({ step: 'map' });
  });

  it('what CloudStack shows here although nothing here has attached it is believed where the disk is seen', () => {
    const facts = { volume: attached, obstacles: clear, mapping: rowOf(null) };
    const decided = (gone?: boolean) =>
      decideAttach(
        situation('attach', here, { facts: { ...facts, ...(gone === undefined ? {} : { gone }) } }),
      );
    expect(decided()).toEqual({ do: 'await-gone', volumeId: VOLUME, timeoutMs: 0, leaves: false });
    expect(decided(false)).toMatchObject({ do: 'await-device' });
    expect(decided(true)).toMatchObject({
      do: 'back-off',
      forget: ['volume', 'mapping', 'gone', 'obstacles'],
    });
  });

  it('asks for a slot of this VM only, and only for a disk that has none yet', () => {
    const there = { volume_id: VOLUME, vm_id: OTHER_VM };
    const asked = (request: typeof here, volume: ReturnType<typeof seenVolume>) =>
      decideAttach(situation('attach', request, { facts: { volume } }));
    expect(asked(here, seenVolume())).toMatchObject({ toAppliance: true, needsSlot: true });
    expect(asked(here, attached)).toMatchObject({ toAppliance: true, needsSlot: false });
    expect(asked(there, seenVolume())).toMatchObject({ toAppliance: false, needsSlot: false });
  });

  it('waits until the disk has left this guest; for another VM none may be left that hides whose it is', () => {
    const facts = { volume: seenVolume(), obstacles: clear };
    const waits = { do: 'await-gone', volumeId: VOLUME, timeoutMs: LIMITS.DEVICE_GONE_DEADLINE_MS };
    expect(decideAttach(situation('attach', here, { facts }))).toEqual({ ...waits, leaves: false });
    const there = { volume_id: VOLUME, vm_id: OTHER_VM };
    expect(decideAttach(situation('attach', there, { facts }))).toEqual({ ...waits, leaves: true });
    const failed: Step = [
      'attach-volume',
      'finished',
      { job_id: 'j1', outcome: 'failed', code: 530, text: 'no' },
    ];
    const ghost = { ...facts, gone: false };
    expect(decideAttach(situation('attach', here, { facts: ghost, steps: [intent, failed] }))).toMatchObject({
      data: { code: 'DEVICE_STILL_PRESENT', message: expect.stringMatching(/; the attach ended with: no$/) },
    });
    expect(decideAttach(situation('attach', here, { facts: ghost }))).toMatchObject({
      data: { code: 'DEVICE_STILL_PRESENT', message: expect.stringMatching(/\(ghost disk\)$/) },
    });
  });

  it('while the export cannot be published, volume, disk and users are read again before each try', () => {
    const publishError = { code: 'EXPORT_SERVER_UNHEALTHY' as const, message: 'no answer' };
    const facts = { volume: attached, device: found, use: usedBy(), publishError };
    const decided = (publish: number) =>
      decideAttach(
        situation('attach', here, {
          steps: [intent, accepted, ok, mapped],
          facts,
          elapsed: { publish },
        }),
      );
    expect(decided(LIMITS.EXPORT_DEADLINE_MS)).toMatchObject({
      do: 'back-off',
      forget: ['publishError', 'volume', 'device', 'use'],
    });
    expect(decided(LIMITS.EXPORT_DEADLINE_MS + 1)).toMatchObject({
      data: { code: 'EXPORT_SERVER_UNHEALTHY' },
    });
  });

  it('is done without an export where exports are off', () => {
    const facts = { volume: attached, device: found, use: usedBy() };
    const s = situation('attach', here, {
      steps: [intent, accepted, ok, mapped],
      facts,
      policy: { exportsEnabled: false },
    });
    expect(decideAttach(s)).toMatchObject({ do: 'complete', response: { device_path: '/dev/vdb' } });
    expect(decideAttach(s)).not.toHaveProperty('response.export_name');
  });

  it('honours a cancel while nothing has been accepted, and not after it', () => {
    const facts = { volume: seenVolume(), obstacles: clear, gone: true };
    const cancelRequestedBy = { actor: 'hub', requestId: 'r-1', traceparent: null };
    expect(
      decideAttach(situation('attach', here, { facts, cancelRequested: true, cancelRequestedBy })),
    ).toMatchObject({ state: 'failing', data: { cancelled: true, actor: 'hub', request_id: 'r-1' } });
    const unsent = { unsent: 'j1', guards: guards({ volume: seenVolume() }) };
    const s = situation('attach', here, { facts: unsent, steps: [intent], cancelRequested: true });
    expect(decideAttach(s)).toMatchObject({ do: 'record', state: 'refused' });
    const withheld: Step = [
      'attach-volume',
      'refused',
      { job_id: 'j1', text: 'cancelled before it was sent' },
    ];
    expect(
      decideAttach(situation('attach', here, { facts, steps: [intent, withheld], cancelRequested: true })),
    ).toMatchObject({ state: 'failing', data: { cancelled: true } });
    expect(
      decideAttach(situation('attach', here, { steps: [intent, accepted], cancelRequested: true })),
    ).toMatchObject({ do: 'await-job' });
  });
});
