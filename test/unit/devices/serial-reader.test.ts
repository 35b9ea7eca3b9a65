import { describe, expect, it } from 'vitest';
import { LIMITS } from '~/server/core/limits';
import { answerOf, SerialReader } from '~/server/devices/sysfs/serial-reader';
import { ManualClock, settle } from './manual-clock';

/** Disks that answer when told to. */
function slowDisks() {
  const asked: string[] = [];
  const answers = new Map<string, (bytes: Buffer | Error) => void>();
  const read = (path: string) =>
    new Promise<Buffer>((resolve, reject) => {
      asked.push(path);
      answers.set(path, (bytes) => (bytes instanceof Error ? reject(bytes) : resolve(bytes)));
    });
  return { asked, read, answer: (path: string, bytes: Buffer | Error) => answers.get(path)?.(bytes) };
}

function errno(code: string): Error {
  return Object.assign(new Error(code), { code });
}

function setUp() {
  const clock = new ManualClock();
  const here = slowDisks();
  const elsewhere = slowDisks();
  let rings = 0;
  const ring = () => {
    rings += 1;
  };
  const reader = new SerialReader(clock, ring, here.read, elsewhere.read);
  return { clock, here, elsewhere, reader, rings: () => rings };
}

describe('reading a serial', () => {
  it('happens once per plug, in the background, and reports when it is known', async () => {
    const { here, reader, rings } = setUp();
    expect(reader.ask('vdb#7', 'b')).toMatchObject({ serial: null, serialState: 'pending' });
    expect(reader.ask('vdb#7', 'b')).toMatchObject({ serialState: 'pending' });
    here.answer('b', Buffer.from('0f3c9a517be24d609a44'));
    await settle();
    expect(reader.ask('vdb#7', 'b')).toMatchObject({ serial: '0f3c9a517be24d609a44', serialState: 'read' });
    expect(here.asked).toEqual(['b']);
    expect(rings()).toBe(1);
  });

  it('is waited for until all have answered, and no longer', async () => {
    const { here, reader } = setUp();
    reader.ask('vdb#7', 'b');
    reader.ask('vdc#8', 'c');
    let rests = false;
    const rest = reader.settle(LIMITS.SERIAL_GRACE_MS).then(() => {
      rests = true;
    });
    here.answer('b', Buffer.from('first'));
    await settle();
    expect(rests).toBe(false);
    here.answer('c', Buffer.from('second'));
    await rest;
  });

  it('happens again for the next plug of the same letter', async () => {
    const { here, reader } = setUp();
    reader.ask('vdb#7', 'b');
    here.answer('b', Buffer.from('first'));
    await settle();
    reader.keepOnly(new Set(['vdb#8']));
    expect(reader.ask('vdb#8', 'b')).toMatchObject({ serialState: 'pending' });
    expect(here.asked).toEqual(['b', 'b']);
  });

  it('that is still in flight when the disk has gone is ignored', async () => {
    const { here, reader, rings } = setUp();
    reader.ask('vdb#7', 'b');
    reader.keepOnly(new Set());
    here.answer('b', Buffer.from('late'));
    await settle();
    expect(rings()).toBe(0);
    expect(reader.ask('vdb#7', 'b')).toMatchObject({ serialState: 'pending' });
  });

  it('whose name has gone to another disk meanwhile says nothing of it', async () => {
    const { here, reader, rings } = setUp();
    let isStill = false;
    const plug = { isStill: () => isStill };
    reader.ask('vdb#7', 'b', plug);
    here.answer('b', Buffer.from('of another'));
    await settle();
    expect([reader.ask('vdb#7', 'b', plug).serialState, rings()]).toEqual(['pending', 0]);
    isStill = true;
    here.answer('b', Buffer.from('its own'));
    await settle();
    expect(reader.ask('vdb#7', 'b', plug)).toMatchObject({ serial: 'its own', serialState: 'read' });
  });

  it('a missing file is the fact that there is none; any other error is trouble', async () => {
    const { here, reader } = setUp();
    reader.ask('vdb#7', 'b');
    reader.ask('vdc#8', 'c');
    here.answer('b', errno('ENOENT'));
    here.answer('c', errno('EIO'));
    await settle();
    expect(reader.ask('vdb#7', 'b').serialState).toBe('absent');
    expect(reader.ask('vdc#8', 'c').serialState).toBe('unreadable');
  });
});

describe('a dying disk', () => {
  it('is unreadable after the timeout, and tried again later and later', async () => {
    const { clock, here, reader } = setUp();
    reader.ask('vdb#7', 'b');
    await clock.advance(LIMITS.SERIAL_READ_TIMEOUT_MS);
    expect(reader.ask('vdb#7', 'b').serialState).toBe('unreadable');
    here.answer('b', errno('EIO'));
    await clock.advance(LIMITS.RETRY_BASE_MS);
    reader.ask('vdb#7', 'b');
    expect(here.asked).toHaveLength(2);
    here.answer('b', errno('EIO'));
    await clock.advance(LIMITS.RETRY_BASE_MS);
    reader.ask('vdb#7', 'b');
    expect(here.asked).toHaveLength(2);
    await clock.advance(LIMITS.RETRY_BASE_MS);
    expect(reader.ask('vdb#7', 'b').serialState).toBe('unreadable');
    expect(here.asked).toHaveLength(3);
    here.answer('b', Buffer.from('alive'));
    await settle();
    expect(reader.ask('vdb#7', 'b')).toMatchObject({ serial: 'alive', serialState: 'read' });
  });

  it('does not keep the others waiting: reads beside stuck ones go through a child', async () => {
    const { clock, here, elsewhere, reader } = setUp();
    for (const name of ['b', 'c', 'd']) reader.ask(name, name);
    expect(here.asked).toEqual(['b', 'c']);
    await clock.advance(LIMITS.SERIAL_READ_TIMEOUT_MS);
    expect(elsewhere.asked).toEqual(['d']);
    elsewhere.answer('d', Buffer.from('healthy'));
    await settle();
    expect(reader.ask('d', 'd')).toMatchObject({ serial: 'healthy' });
  });

  it('never occupies more than its bound, and reading resumes when one comes back', async () => {
    const { clock, here, elsewhere, reader } = setUp();
    const names = Array.from({ length: LIMITS.SERIAL_STUCK_MAX + 4 }, (_, index) => `disk ${index}`);
    for (const name of names) reader.ask(name, name);
    await clock.advance(LIMITS.SERIAL_READ_TIMEOUT_MS * names.length);
    const started = here.asked.length + elsewhere.asked.length;
    expect(started).toBeLessThanOrEqual(LIMITS.SERIAL_STUCK_MAX + 1);
    expect(names.map((name) => reader.ask(name, name).serialState)).toEqual(names.map(() => 'unreadable'));
    for (const name of here.asked) here.answer(name, errno('EIO'));
    await clock.advance(LIMITS.SERIAL_RETRY_CAP_MS);
    for (const name of names) reader.ask(name, name);
    expect(here.asked.length + elsewhere.asked.length).toBeGreaterThan(started);
  });
});

describe('what a disk answers', () => {
  const table: readonly [story: string, bytes: string, serial: string | null][] = [
    ['20 characters without an end', '0f3c9a517be24d609a44', '0f3c9a517be24d609a44'],
    ['a shorter one, padded with NULs', 'abc\0\0\0\0', 'abc'],
    ['garbage behind the NUL', 'abc\0xyz', 'abc'],
    ['padded with blanks and a line feed', '  abc  \n', 'abc'],
    [
      'more than a mapping holds',
      `0f3c9a517be24d609a44c1d2e3f40516${'x'.repeat(200)}`,
      `0f3c9a517be24d609a44c1d2e3f40516${'x'.repeat(32)}`,
    ],
    ['nothing', '', null],
    ['only NULs', '\0\0\0\0', null],
    ['only blanks', '   \n', null],
  ];
  it.each(table)('%s', (_story, bytes, serial) => {
    expect(answerOf(Buffer.from(bytes))).toEqual({
      serial,
      serialState: serial === null ? 'absent' : 'read',
    });
  });
});
