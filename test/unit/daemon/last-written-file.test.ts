import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLogger } from '~/server/core/log/logger';
import { databaseHealth } from '~/server/daemon/health/dependencies';
import { createLastWrittenFile } from '~/server/daemon/last-written-file';

let folder = '';
let path = '';
const told: string[] = [];
const logger = { ...silentLogger, warn: (message: string) => void told.push(message) };

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'last-written-'));
  path = join(folder, 'state/last-written.json');
  told.length = 0;
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('how far the database had come, in the state folder', () => {
  it('is of one appliance: a folder that came along with a template says nothing of another one', async () => {
    const file = createLastWrittenFile(path, logger);
    expect(await file.load('here')).toBeNull();
    await file.save('here', { epoch: 7, renewals: 20 });
    expect(await file.load('here')).toEqual({ epoch: 7, renewals: 20 });
    expect(await file.load('another')).toBeNull();
    expect(await readdir(join(folder, 'state'))).toEqual(['last-written.json']);
    expect(told).toEqual([]);
  });

  it('that cannot be read counts as none, and the log says what is not noticed then', async () => {
    const file = createLastWrittenFile(path, logger);
    await file.save('here', { epoch: 7, renewals: 20 });
    await writeFile(path, '{"appliance":"here","epoch":');
    expect(await file.load('here')).toBeNull();
    expect(told).toEqual(['How far the database had come cannot be read: a restored one is not noticed']);
  });

  it('that cannot be written is told once, and by health until it can', async () => {
    await writeFile(join(folder, 'state'), 'no folder');
    const file = createLastWrittenFile(path, logger);
    await file.save('here', { epoch: 7, renewals: 20 });
    await file.save('here', { epoch: 7, renewals: 30 });
    expect(told).toHaveLength(1);
    expect(databaseHealth(null, file.trouble)).toEqual({
      status: 'degraded',
      message: expect.stringMatching(/not noted in the state folder \(E\w+: .*\): after a crash a restored/),
    });
    await rm(join(folder, 'state'));
    await file.save('here', { epoch: 7, renewals: 40 });
    expect(databaseHealth(null, file.trouble).status).toBe('healthy');
  });
});

it('clocks that differ are said, too', () => {
  expect(databaseHealth('the clocks differ', null)).toEqual({
    status: 'degraded',
    message: 'answers, and takes reads and writes, but the clocks differ: nothing is deleted by age',
  });
  expect(databaseHealth('the clocks differ', 'no space').message).toMatch(/by age; how far .* \(no space\)/);
});
