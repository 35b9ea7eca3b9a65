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
