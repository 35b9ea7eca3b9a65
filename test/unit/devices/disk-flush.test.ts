import { expect, it } from 'vitest';
import { LIMITS } from '~/server/core/limits';
import { createSysfsCounters } from '~/server/devices/sysfs/sysfs-counters';
import { ManualClock } from './manual-clock';

const plug = (name: string) => ({ name, path: `/dev/${name}`, diskseq: 1 });

/** Flushes that end when told to. */
function setUp() {
  const clock = new ManualClock();
  const ends = new Map<string, () => void>();
  const sync = (path: string) => new Promise<void>((resolve) => void ends.set(path, resolve));
  return { clock, ends, counters: createSysfsCounters({ sysBlockDir: '/nowhere', clock, sync }) };
}

it('disks of a storage that hangs occupy few threads, so that files are written and links made all the same', async () => {
  const { clock, ends, counters } = setUp();
  const names = ['vdb', 'vdc', 'vdd', 'vde', 'vdf', 'vdg'];
  const late = Promise.allSettled(names.map((name) => counters.flush(plug(name))));
  await clock.advance(LIMITS.DISK_FLUSH_MS);
  expect(await late).toEqual(
    names.map((name) => ({
      status: 'rejected',
      reason: new Error(`/dev/${name} was not flushed in ${LIMITS.DISK_FLUSH_MS} ms`),
    })),
  );
  expect([...ends.keys()]).toEqual(['/dev/vdb', '/dev/vdc']);
});

it('a disk is flushed when one before it has come back', async () => {
  const { clock, ends, counters } = setUp();
  const first = ['vdb', 'vdc'].map((name) => counters.flush(plug(name)));
  const next = counters.flush(plug('vdd'));
  await clock.advance(0);
  expect(ends.has('/dev/vdd')).toBe(false);
  ends.get('/dev/vdb')?.();
  await first[0];
  await clock.advance(0);
  ends.get('/dev/vdd')?.();
  await expect(next).resolves.toBeUndefined();
  ends.get('/dev/vdc')?.();
  await first[1];
});

it('many disks that are flushed one after the other are all flushed, however long that takes together', async () => {
  const { clock, ends, counters } = setUp();
  const names = ['vdb', 'vdc', 'vdd', 'vde', 'vdf', 'vdg', 'vdh', 'vdi'];
  const all = Promise.allSettled(names.map((name) => counters.flush(plug(name))));
  for (const name of names) {
    await clock.advance(LIMITS.DISK_FLUSH_MS / 4);
    ends.get(`/dev/${name}`)?.();
  }
  await clock.advance(0);
  expect(await all).toEqual(names.map(() => ({ status: 'fulfilled', value: undefined })));
});

it('a disk whose turn came late has all of its time', async () => {
  const { clock, ends, counters } = setUp();
  const others = Promise.all(['vdb', 'vdc'].map((name) => counters.flush(plug(name))));
  const hung = counters.flush(plug('vdd')).catch((error: unknown) => String(error));
  let answer: string | null = null;
  void hung.then((text) => {
    answer = text ?? null;
  });
  await clock.advance(LIMITS.DISK_FLUSH_MS / 2);
  for (const name of ['vdb', 'vdc']) ends.get(`/dev/${name}`)?.();
  await others;
  await clock.advance(LIMITS.DISK_FLUSH_MS - 1);
  expect([ends.has('/dev/vdd'), answer]).toEqual([true, null]);
  await clock.advance(1);
  expect(await hung).toContain('/dev/vdd was not flushed');
});

it('who asks while the disk is being flushed waits for a flush that begins then: what was written meanwhile is not in the one that runs', async () => {
  const { clock, ends, counters } = setUp();
  const ended: string[] = [];
  const ask = (name: string) => counters.flush(plug('vdb')).then(() => void ended.push(name));
  const first = ask('first');
  await clock.advance(0);
  const endOfFirst = ends.get('/dev/vdb');
  const later = ['second', 'third'].map(ask);
  await clock.advance(0);
  // One at a time.
  expect(ends.get('/dev/vdb')).toBe(endOfFirst);
  endOfFirst?.();
  await first;
  await clock.advance(0);
  expect(ended).toEqual(['first']);
  const endOfNext = ends.get('/dev/vdb');
  expect(endOfNext).not.toBe(endOfFirst);
  endOfNext?.();
  await Promise.all(later);
  await clock.advance(0);
  // Those two have shared one.
  expect(ends.get('/dev/vdb')).toBe(endOfNext);
});

it('a flush that hangs on a disk that has left is not that of the next disk with its name', async () => {
  const { clock, ends, counters } = setUp();
  const hung = counters.flush(plug('vdb')).catch((error: unknown) => String(error));
  await clock.advance(LIMITS.DISK_FLUSH_MS);
  expect(await hung).toContain('/dev/vdb was not flushed');
  const endOfHung = ends.get('/dev/vdb');
  const next = counters.flush({ ...plug('vdb'), diskseq: 2 });
  await clock.advance(0);
  expect(ends.get('/dev/vdb')).not.toBe(endOfHung);
  ends.get('/dev/vdb')?.();
  await expect(next).resolves.toBeUndefined();
});
