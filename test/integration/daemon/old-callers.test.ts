import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OperationReply } from '~/lab/client';
import { messageOf } from '~/server/core/errors';
import { MIGRATED } from '../database/family-b';
import { PRODUCTION } from '../database/family-c';
import { LIVE, SPECIFICATION } from '../database/old-databases';
import { type OldFamily, oldStatements } from '../database/old-statements';
import { SEQUENCES } from './old-sequences';
import { OldSite } from './old-site';

/**
 * Everything that the programs around the old daemon do, call by call and with the hub's own SQL in between,
 * on a database of each old family: planned, adopted by the built daemon, used, given to the old daemon's
 * statements, and used again.
 */
const FAMILIES: readonly (readonly [OldFamily, readonly string[]])[] = [
  ['specification', SPECIFICATION],
  ['migrated', MIGRATED],
  ['live', LIVE],
  ['production', PRODUCTION],
];

describe.each(FAMILIES)('the callers of the old daemon, on its database: %s', (family, statements) => {
  let site: OldSite;
  const replayed: string[] = [];
  beforeAll(async () => {
    site = await OldSite.make(family, statements);
  });
  afterAll(() => site?.close());

  it('the plan tells of the half-done operations and the volume without a mapping; then it is done', async () => {
    expect(await site.plan()).toMatchObject({
      adopted: false,
      ends_as_failed: [{ id: 'aa-third' }, { id: 'bb-fourth' }, { id: 'cc-fifth' }],
      first_sync: expect.arrayContaining([
        expect.objectContaining({ kind: 'unmapped-volume', volumeId: site.old[2].id, action: 'planned' }),
      ]),
    });
    await site.start();
    const failed = await site.api.get<OperationReply[]>('/api/v1/operations?status=failed&limit=50');
    const abandoned = failed.filter(({ error }) => error?.includes('abandoned by the previous daemon'));
    expect(abandoned.map(({ id }) => id).sort()).toEqual(['aa-third', 'bb-fourth', 'cc-fifth']);
    // Nothing of what was left half done was done.
    expect(site.old.map(({ vmId }) => vmId)).toEqual([site.appliance, site.appliance, site.testVm]);
    expect(site.lab.cloud.model.effects).toEqual([]);
  });

  const table = SEQUENCES.map(({ letter, story, run }) => [letter, story, run] as const);
  it.each(table)('%s: %s', async (letter, _story, run) => {
    await run(site);
    replayed.push(letter);
  });

  it('then every statement of the old daemon, its hub and its operators, and the sequences once more', async () => {
    await site.stop();
    const old = oldStatements(family, 1);
    for (const { by, what, sql } of old)
      await site.sql(sql).catch((error: unknown) => {
        throw new Error(`${by} ${what}: ${messageOf(error)}`);
      });
    const before = await site.sql('SELECT id, status FROM volume_operations WHERE appliance_id <> ""');
    await site.start();
    const kept = new Map(
      (await site.sql('SELECT id, status FROM volume_operations')).map(({ id, status }) => [id, status]),
    );
    for (const { id, status } of before) expect(kept.get(id)).toBe(status);
    for (const { letter, run } of SEQUENCES.filter((one) => ['A', 'B', 'C'].includes(one.letter))) {
      await run(site);
      replayed.push(letter);
    }
    console.info(
      `${family}: sequences ${replayed.join(' ')} replayed; ${old.length} of ${old.length} old statements accepted after them`,
    );
    expect(new Set(replayed).size).toBe(SEQUENCES.length);
  });
});
