import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { silentLogger } from '~/server/core/log/logger';
import { createClockNotesFile } from '~/server/daemon/clock-notes-file';

const NOTE = { offsetMs: 1_700_000_000_000.25, steppedAtMs: 7.5 };

let folder = '';
let path = '';
const told: string[] = [];
const logger = { ...silentLogger, warn: (message: string) => void told.push(message) };
const machine = (bootId: string | null) => ({ bootId, uptime: () => 1 });

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'clock-notes-'));
  path = join(folder, 'state/clock.json');
  told.length = 0;
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('how the clock stands, in the state folder', () => {
  it('is of one boot: the time since the next one tells nothing', async () => {
    const file = createClockNotesFile(path, machine('this boot'), logger);
    expect(file.load()).toBeNull();
    file.save({ ...NOTE, steppedAtMs: null });
    file.save(NOTE);
    await vi.waitFor(() => expect(file.load()).toEqual(NOTE));
    expect(createClockNotesFile(path, machine('the next'), logger).load()).toBeNull();
    expect(await readdir(join(folder, 'state'))).toEqual(['clock.json']);
    expect(told).toEqual([]);
  });

  it('is not kept where the machine does not name its boot', async () => {
    const file = createClockNotesFile(path, machine(null), logger);
    file.save(NOTE);
    expect(file.load()).toBeNull();
    expect(await readdir(folder)).toEqual([]);
  });

  it('that cannot be read counts as none', async () => {
    const file = createClockNotesFile(join(folder, 'clock.json'), machine('this boot'), logger);
    await writeFile(join(folder, 'clock.json'), '{"boot_id":"this boot","offset_ms":');
    expect(file.load()).toBeNull();
  });

  it('that cannot be written is told once', async () => {
    await writeFile(join(folder, 'state'), 'no folder');
    const file = createClockNotesFile(path, machine('this boot'), logger);
    file.save(NOTE);
    file.save(NOTE);
    await vi.waitFor(() => expect(told).toHaveLength(1));
    await rm(join(folder, 'state'));
    file.save(NOTE);
    await vi.waitFor(() => expect(file.load()).toEqual(NOTE));
    expect(told).toEqual([
      'How the clock stands is not noted: a step right before the next start is not noticed',
    ]);
  });
});
