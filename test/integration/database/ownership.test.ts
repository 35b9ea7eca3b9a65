import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Mariadb, startMariadb } from '~/lab/mariadb';
import { silentLogger } from '~/server/core/log/logger';
import { ApplianceLock } from '~/server/database/connection/appliance-lock';
import { type Dsn, parseDsn } from '~/server/database/connection/dsn';

const HOLDER = fileURLToPath(new URL('lock-holder.ts', import.meta.url));
const APPLIANCE = 'd0000000-0000-4000-8000-00000000000d';
const OTHER = 'e0000000-0000-4000-8000-00000000000e';

let server: Mariadb;
let dsn: Dsn;
const locks: ApplianceLock[] = [];

beforeAll(async () => {
  server = await startMariadb();
  dsn = parseDsn(server.dsn);
});
afterEach(async () => {
  await Promise.all(locks.splice(0).map((lock) => lock.release()));
});
afterAll(() => server.stop());

function newLock(): { lock: ApplianceLock; lost: Promise<string>; losses: string[] } {
  const lock = new ApplianceLock(dsn, silentLogger);
  locks.push(lock);
  const losses: string[] = [];
  const lost = new Promise<string>((resolve) => {
    lock.onLost((reason) => {
      losses.push(reason);
      resolve(reason);
    });
  });
  return { lock, lost, losses };
}

async function holder(): Promise<number> {
  const rows = await server.query(`SELECT IS_USED_LOCK('volume-daemon:${APPLIANCE}') AS id`);
  return Array.isArray(rows) ? Number(rows[0]?.id) : 0;
}

describe('the appliance lock', () => {
  it('belongs to one holder at a time, and is free once it is released', async () => {
    const [one, two] = [newLock(), newLock()];
    expect(await one.lock.acquire(APPLIANCE)).toBe(true);
    expect(await two.lock.acquire(APPLIANCE)).toBe(false);
    await one.lock.release();
    expect(await two.lock.acquire(APPLIANCE)).toBe(true);
    expect(one.losses).toEqual([]);
  });

  it('is one per appliance', async () => {
    const [one, two] = [newLock(), newLock()];
    expect(await one.lock.acquire(APPLIANCE)).toBe(true);
    expect(await two.lock.acquire(OTHER)).toBe(true);
  });

  it('is taken over as soon as the connection of the holder is gone, and the holder is told once', async () => {
    const [one, two] = [newLock(), newLock()];
    await one.lock.acquire(APPLIANCE);
    await server.query(`KILL ${await holder()}`);
    await one.lost;
    expect(await two.lock.acquire(APPLIANCE)).toBe(true);
    expect(one.losses).toHaveLength(1);
    await one.lock.release();
    expect(await two.lock.acquire(APPLIANCE)).toBe(true);
  });

  it('is lost when the database dies, and can be had again afterwards', async () => {
    const { lock, lost } = newLock();
    await lock.acquire(APPLIANCE);
    await server.kill();
    await lost;
    await expect(lock.acquire(APPLIANCE)).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
    await server.restart();
    expect(await lock.acquire(APPLIANCE)).toBe(true);
  });

  it('is let go by the server when the host of the holder has vanished without a word', async () => {
    const holding = spawn(process.execPath, ['--import', 'tsx', HOLDER, server.dsn, APPLIANCE], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      const [said] = await once(holding.stdout, 'data');
      expect(String(said)).toBe('held\n');
      // A stopped process keeps its connection and says nothing any more, like a host that has lost its
      // power.
      holding.kill('SIGSTOP');
      const { lock } = newLock();
      expect(await lock.acquire(APPLIANCE)).toBe(false);
      while (!(await lock.acquire(APPLIANCE)));
    } finally {
      holding.kill('SIGKILL');
    }
  });

  it('does not tell anybody when it was released on purpose', async () => {
    const { lock, losses } = newLock();
    await lock.acquire(APPLIANCE);
    await lock.release();
    await lock.release();
    expect(losses).toEqual([]);
  });
});
