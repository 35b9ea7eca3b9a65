import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { beforeAll, beforeEach, expect, it } from 'vitest';
import { DaemonError } from '~/server/core/errors';
import { LIMITS } from '~/server/core/limits';
import type { Database } from '~/server/database/connection/pool';
import { ReadById } from '~/server/database/read-by-id';
import { useMigrated } from './use-migrated';

const database = useMigrated();
/** Stored, in this order. */
const ids = Array.from({ length: LIMITS.READ_GROUP_SIZE + 5 }, () => randomUUID());

/** Queries that wait until they are let go, and what each asks for. */
let held: { readonly go: () => void; readonly fail: (error: Error) => void }[] = [];
const query: Database['query'] = (ask) =>
  new Promise((resolve, reject) => {
    held.push({ go: () => resolve(database.pool.query(ask)), fail: reject });
  });

const rows = () =>
  new ReadById(
    { query },
    (db) => db.selectFrom('volume_operations').select(['id', 'volume_id']).where('id', 'in', ['']),
    ({ id }) => id,
  );

beforeAll(async () => {
  for (const [index, id] of ids.entries())
    await sql`INSERT INTO volume_operations (id, type, status, volume_id, request)
      VALUES (${id}, 'detach', 'completed', ${`volume-${index}`}, '{}')`.execute(database.pool.kysely);
});

beforeEach(() => {
  held = [];
});

const volumeOf = async (reading: Promise<{ volume_id: string } | undefined>) => (await reading)?.volume_id;

it('one alone is read at once, and one that is not there is not found', async () => {
  const reads = rows();
  const [first, none] = [reads.read(ids[0] ?? ''), reads.read(randomUUID())];
  expect(held).toHaveLength(1);
  held[0]?.go();
  expect(await volumeOf(first)).toBe('volume-0');
  held[1]?.go();
  expect(await none).toBeUndefined();
});

it('what is asked for meanwhile goes together, each answer to whom it belongs', async () => {
  const reads = rows();
  const first = reads.read(ids[0] ?? '');
  const asked = [ids[3], randomUUID(), ids[1], ids[3]?.toUpperCase(), ids[2]].map((id) =>
    reads.read(id ?? ''),
  );
  expect(held).toHaveLength(1);
  held[0]?.go();
  await first;
  expect(held).toHaveLength(2);
  held[1]?.go();
  expect(await Promise.all(asked.map(volumeOf))).toEqual([
    'volume-3',
    undefined,
    'volume-1',
    'volume-3',
    'volume-2',
  ]);
});

it('more than one query takes go in the next', async () => {
  const reads = rows();
  const first = reads.read(ids[0] ?? '');
  const all = ids.map((id) => volumeOf(reads.read(id)));
  held[0]?.go();
  await first;
  held[1]?.go();
  await all[0];
  held[2]?.go();
  expect(await Promise.all(all)).toEqual(ids.map((_, index) => `volume-${index}`));
  expect(held).toHaveLength(3);
});

it('a fault meets all of one query, and nobody after it', async () => {
  const reads = rows();
  const first = reads.read(ids[0] ?? '');
  const failing = [reads.read(ids[1] ?? ''), reads.read(ids[2] ?? '')];
  held[0]?.go();
  await first;
  held[1]?.fail(new DaemonError('DATABASE_UNAVAILABLE', 'away'));
  for (const one of failing) await expect(one).rejects.toThrow('away');
  const later = reads.read(ids[1] ?? '');
  held[2]?.go();
  expect(await volumeOf(later)).toBe('volume-1');
});

it('refuses when too many wait', async () => {
  const reads = rows();
  const waiting = Array.from({ length: LIMITS.DATABASE_QUEUE + 1 }, () => reads.read(ids[0] ?? ''));
  await expect(reads.read(ids[0] ?? '')).rejects.toThrow(/reads wait already/);
  for (let next = 0; next < 1 + Math.ceil(LIMITS.DATABASE_QUEUE / LIMITS.READ_GROUP_SIZE); next += 1) {
    await expect.poll(() => held.length).toBeGreaterThan(next);
    held[next]?.go();
  }
  expect(new Set(await Promise.all(waiting.map(volumeOf)))).toEqual(new Set(['volume-0']));
});
