import { expect, it } from 'vitest';
import { DaemonError } from '~/server/core/errors';
import { exportName } from '~/server/model/export-name';
import type { AttachRequest, JournalEntry } from '~/server/model/operation';
import { MINUTE_MS, Rig, SECOND_MS } from './rig';

async function toHere(rig: Rig): Promise<AttachRequest> {
  const { id } = await rig.volume();
  return { volume_id: id, vm_id: rig.here };
}

/** An attach whose job has ended, while that is being written; and what it does, in order. */
async function begin(prepare: (rig: Rig) => Promise<AttachRequest> = toHere) {
  const rig = await Rig.start();
  const request = await prepare(rig);
  const told: string[] = [];
  /** The write of how the job of an attach has ended, until it is let through or refused. */
  let held: { through(): void; refuse(error: unknown): void } | null = null;
  let holding = true;
  const { append } = rig.ledger;
  rig.ledger.append = async (epoch, id, change) => {
    const says = change.entries.map(({ step, state }) => `${step} ${state}`).join(', ');
    if (holding && says === 'attach-volume finished')
      await new Promise<void>((through, refuse) => {
        held = { through, refuse };
      });
    const written = await append.call(rig.ledger, epoch, id, change);
    told.push(says);
    return written;
  };
  const { readVolume } = rig.cloud;
  rig.cloud.readVolume = (id) => {
    if (held) told.push('looked at the volume');
    return readVolume.call(rig.cloud, id);
  };
  const id = await rig.request('attach', request);
  while (held === null) await rig.pass(10);
  const { through, refuse } = held as { through(): void; refuse(error: unknown): void };
  holding = false;
  return { rig, told, id, volumeId: request.volume_id, through, refuse };
}

const names = (journal: readonly JournalEntry[]) => journal.map(({ step, state }) => `${step} ${state}`);

it('while the end of a job is written the volume is looked at, and nothing else is done', async () => {
  const { rig, told, id, volumeId, through } = await begin();
  await rig.pass(10 * SECOND_MS);
  expect(told).toContain('looked at the volume');
  expect(told).not.toContain('map done');
  expect(rig.exported(volumeId)).toBe(false);
  expect(names(await rig.journal(id)).at(-1)).toBe('attach-volume accepted');
  through();
  expect(await rig.ended(id)).toMatchObject({ status: 'completed' });
  expect(names(await rig.journal(id)).slice(2)).toEqual([
    'attach-volume intent',
    'attach-volume accepted',
    'attach-volume finished',
    'map done',
    'publish done',
    'operation completed',
  ]);
  const sequences = (await rig.journal(id)).map(({ sequence }) => sequence);
  expect(sequences).toEqual(sequences.map((_, index) => index + 1));
});

it('an export that was left here is not withdrawn before it is written', async () => {
  const { rig, told, id, volumeId, through } = await begin(async (rig) => {
    const { id: volumeId } = await rig.volume();
    const left = { volumeId, path: '/dev/vdz', key: '1', readOnly: false };
    rig.server.served.set(exportName(volumeId), left);
    return { volume_id: volumeId, vm_id: rig.vm('Running') };
  });
  await rig.pass(10 * SECOND_MS);
  expect(told).toContain('looked at the volume');
  expect(rig.exported(volumeId)).toBe(true);
  through();
  expect(await rig.ended(id)).toMatchObject({ status: 'completed' });
  expect(rig.exported(volumeId)).toBe(false);
});

it('while the database is away it is written again and again, and the rest follows', async () => {
  const { rig, told, id, volumeId, refuse } = await begin();
  refuse(new DaemonError('DATABASE_UNAVAILABLE', 'it is away'));
  const { append } = rig.ledger;
  rig.ledger.append = () => Promise.reject(new DaemonError('DATABASE_UNAVAILABLE', 'it is away'));
  await rig.pass(MINUTE_MS);
  expect(rig.exported(volumeId)).toBe(false);
  expect(rig.domain.ownership.engine?.status()).toMatchObject([{ waiting: { step: 'journal' } }]);
  rig.ledger.append = append;
  const ended = rig.ended(id);
  while (!told.includes('map done')) await rig.pass(10);
  expect(await ended).toMatchObject({ status: 'completed' });
  expect(names(await rig.journal(id)).filter((name) => name === 'attach-volume finished')).toHaveLength(1);
});

it('when another owner has taken over meanwhile, this run does nothing more', async () => {
  const { rig, id, through } = await begin();
  await rig.ledger.takeOver(rig.here, 'another');
  const { append } = rig.ledger;
  const writers = new Set<number>();
  rig.ledger.append = (epoch, operationId, change) => {
    writers.add(epoch.number);
    return append.call(rig.ledger, epoch, operationId, change);
  };
  through();
  // This process takes the appliance over again, in its third epoch, and asks for the job once more.
  expect(await rig.ended(id)).toMatchObject({ status: 'completed' });
  expect([...writers]).toEqual([3]);
  expect(names(await rig.journal(id)).filter((name) => name === 'attach-volume finished')).toHaveLength(1);
});

it('a process that ends before it is written asks for the job again', async () => {
  const { rig, id } = await begin();
  await rig.restart();
  expect(await rig.ended(id)).toMatchObject({ status: 'completed' });
  expect(rig.calls).toEqual(['attachVolume']);
  expect(names(await rig.journal(id)).filter((name) => name === 'attach-volume finished')).toHaveLength(1);
});
