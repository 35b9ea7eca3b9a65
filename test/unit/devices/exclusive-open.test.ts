import { expect, it } from 'vitest';
import { LIMITS } from '~/server/core/limits';
import { ExclusiveOpens } from '~/server/devices/sysfs/exclusive-open';
import { ManualClock } from './manual-clock';

/** Opens that end when told to. */
function setUp() {
  const clock = new ManualClock();
  const asked: string[] = [];
  const ends = new Map<string, (error?: Error) => void>();
  const opens = new ExclusiveOpens(
    clock,
    (path) =>
      new Promise((resolve, reject) => {
        asked.push(path);
        ends.set(path, (error) => (error ? reject(error) : resolve()));
      }),
  );
  const ask = async (path: string) => {
    const answer = opens.ask(path);
    ends.get(path)?.();
    return answer;
  };
  return { clock, asked, opens, ends, ask };
}

it('tells a free device, a claimed one, and one that cannot be opened', async () => {
  const { opens, ends } = setUp();
  const [free, claimed, gone] = ['/dev/vdb', '/dev/vdc', '/dev/vdd'].map((path) => opens.ask(path));
  ends.get('/dev/vdb')?.();
  ends.get('/dev/vdc')?.(Object.assign(new Error('busy'), { code: 'EBUSY' }));
  ends.get('/dev/vdd')?.(Object.assign(new Error('no such device'), { code: 'ENXIO' }));
  expect(await free).toBe('free');
  expect(await claimed).toBe('claimed');
  expect(await gone).toEqual({ unknown: '/dev/vdd cannot be opened: no such device' });
});

it('of a disk that hangs is not waited for: it is unknown, and asked once until it comes back', async () => {
  const { clock, asked, opens, ends, ask } = setUp();
  const hung = opens.ask('/dev/vdb');
  await clock.advance(LIMITS.EXCLUSIVE_OPEN_MS);
  const unknown = { unknown: `/dev/vdb could not be opened in ${LIMITS.EXCLUSIVE_OPEN_MS} ms` };
  expect(await hung).toEqual(unknown);
  expect(await opens.ask('/dev/vdb')).toEqual(unknown);
  expect(await ask('/dev/vdc')).toBe('free');
  expect(asked).toEqual(['/dev/vdb', '/dev/vdc']);
  ends.get('/dev/vdb')?.();
  await clock.advance(0);
  expect(await ask('/dev/vdb')).toBe('free');
});

it('never occupies more threads than its bound', async () => {
  const { clock, asked, opens } = setUp();
  const paths = Array.from({ length: LIMITS.EXCLUSIVE_OPENS_STUCK_MAX }, (_, index) => `/dev/disk${index}`);
  const hung = paths.map((path) => opens.ask(path));
  await clock.advance(LIMITS.EXCLUSIVE_OPEN_MS);
  await Promise.all(hung);
  expect(await opens.ask('/dev/vdz')).toEqual({
    unknown: '/dev/vdz was not opened, because the opens of other disks hang',
  });
  expect(asked).toEqual(paths);
});
