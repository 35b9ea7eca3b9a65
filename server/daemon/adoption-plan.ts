import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../core/clock';
import { messageOf } from '../core/errors';
import { silentLogger } from '../core/log/logger';
import { createRedactor } from '../core/redaction';
import { describeDsn } from '../database/connection/dsn';
import { type OldRows, readOldRows, readOwnOfOld } from '../database/old-rows';
import type { Drift } from '../sync/drift';
import { observe } from '../sync/observe';
import { plan } from '../sync/plan';
import { readCloud } from '../sync/read-cloud';
import { planned } from '../sync/sync-service';
import { type Adapters, createAdapters } from './adapters';
import type { Configuration } from './configuration/configuration';

/** What taking a database of the old daemon over will do. */
interface AdoptionPlan {
  readonly database: string;
  readonly adopted: boolean;
  readonly mappings: number;
  readonly exports: number;
  /** Rows of other programs in nbd_exports: they stay, and are never served. */
  readonly other_exports: readonly string[];
  readonly schema: readonly string[];
  /** What has to be mended first: until then the first start changes nothing, and waits. */
  readonly in_the_way: readonly string[];
  /** Operations that end as failed; none is executed. */
  readonly ends_as_failed: OldRows['unfinished'];
  /** Null: it cannot be said now, see `not_judged`. */
  readonly first_sync: readonly Pick<Drift, 'kind' | 'volumeId' | 'message' | 'action' | 'remedy'>[] | null;
  readonly not_judged: readonly string[];
}

/** Nitro listens whatever the process is for: here in a folder of its own, so that no port is taken. */
export function behindClosedDoor(configuration: Configuration): Configuration {
  // Nitro says where it listens: here nobody's business, neither before the plan nor before why there is
  // none.
  console.log = () => {};
  const folder = mkdtempSync(join(tmpdir(), 'volume-daemon-plan-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  return { ...configuration, http: { ...configuration.http, socketPath: join(folder, 'socket') } };
}

/**
 * Prints the plan as JSON and ends the process: 0, or 1 when the database cannot be read. Changes nothing.
 */
export async function printAdoptionPlan(configuration: Configuration): Promise<never> {
  const adapters = createAdapters(configuration, silentLogger, createRedactor(), () => {});
  try {
    const found = await adoptionPlan(configuration, adapters);
    process.stdout.write(`${JSON.stringify(found, null, 2)}\n`);
    process.exit(0);
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n`);
    process.exit(1);
  }
}

async function adoptionPlan(configuration: Configuration, adapters: Adapters): Promise<AdoptionPlan> {
  const { database } = adapters;
  const old = await readOldRows(database.kysely);
  const sync = await firstSync(configuration, adapters, old);
  return {
    database: describeDsn(database.dsn),
    adopted: old.migrations.length > 0,
    mappings: old.mappings.length,
    exports: old.exports.length,
    other_exports: old.otherExports,
    schema: old.missing,
    in_the_way: old.obstacles,
    ends_as_failed: old.unfinished,
    ...sync,
  };
}

async function firstSync(
  { devices }: Configuration,
  { cloud, database, guest, watcher, exports, identity }: Adapters,
  old: OldRows,
): Promise<Pick<AdoptionPlan, 'first_sync' | 'not_judged'>> {
  if (old.obstacles.length > 0)
    return { first_sync: null, not_judged: ['what stands in the way (in_the_way)'] };
  // A database without the hub's table has no key for CloudStack either.
  const who = await identity.resolve().catch((error: unknown) => ({ vmId: null, why: messageOf(error) }));
  const { vmId } = who;
  if (vmId === null) {
    const why = 'why' in who ? `: ${who.why}` : '';
    return { first_sync: null, not_judged: [`it is not known which VM this is${why}`] };
  }
  const ledger = {
    listMappings: async () => [...old.mappings],
    listExports: async () => [...old.exports],
    listOperations: async () => [],
    volumesOfSerials: async () => [],
    ownVolumes: (ids: readonly string[]) => readOwnOfOld(database.kysely, ids),
  };
  const observation = await observe(
    {
      catalogue: { look: (appliance, volumeIds) => readCloud({ cloud, ledger }, appliance, volumeIds) },
      guest,
      watcher,
      exports,
      clock: systemClock,
      sizeToleranceBytes: devices.sizeToleranceBytes,
      neighbours: { look: async () => null },
      busyVolumes: async () => new Set(),
      identityConflicts: () => identity.view.conflicts,
      ledger,
    },
    vmId,
    new Map(),
  );
  const drifts = plan(observation).map(planned);
  return {
    first_sync: drifts.map(({ kind, volumeId, message, action, remedy }) => ({
      kind,
      volumeId,
      message,
      action,
      remedy,
    })),
    not_judged: observation.unavailable,
  };
}
