import { sql, type Transaction } from 'kysely';
import { DaemonError } from '../../core/errors';
import type { MappingEffect } from '../../model/ledger-writes';
import type { NewMapping } from '../../model/operation';
import { isDuplicate, unavailable } from '../connection/faults';
import type { Neighbourhood } from '../neighbours';
import type { Tables } from '../tables';
import { effectStatements, needsMapping } from './effect-statements';

/**
 * Changes mappings and exports in the transaction of the entry that reports them, one statement at a time.
 */
export async function applyEffects(
  tx: Transaction<Tables>,
  effects: readonly MappingEffect[],
  now: number,
  parts: Neighbourhood,
): Promise<void> {
  for (const effect of effects) {
    const volumeId = needsMapping(effect);
    if (volumeId !== null) await lockMapping(tx, volumeId);
    try {
      for (const statement of effectStatements(tx, effect, new Date(now), parts))
        await tx.executeQuery(statement);
    } catch (error) {
      if (effect.kind !== 'put-mapping' || !isDuplicate(error)) throw error;
      throw (await isPathTaken(tx, effect.mapping)) ? pathTaken(effect.mapping, error) : unavailable(error);
    }
  }
}

/**
 * Only the statement is undone, so the row that it met is there still. A trigger may have met
 * one of its own table.
 */
async function isPathTaken(
  tx: Transaction<Tables>,
  { vmId, devicePath, volumeId }: NewMapping,
): Promise<boolean> {
  const { rows } = await sql`SELECT 1 FROM device_mappings
    WHERE vm_id = ${vmId} AND device_path = ${devicePath} AND volume_id <> ${volumeId}`.execute(tx);
  return rows.length > 0;
}

/** Locked, so that the mapping is there when both are committed. */
async function lockMapping(tx: Transaction<Tables>, volumeId: string): Promise<void> {
  const { rows } = await sql`SELECT 1 FROM device_mappings WHERE volume_id = ${volumeId} FOR UPDATE`.execute(
    tx,
  );
  if (rows.length === 0) throw noMapping(volumeId);
}

export function pathTaken(mapping: NewMapping, cause?: unknown): DaemonError {
  return new DaemonError(
    'DEVICE_IDENTITY_MISMATCH',
    `Another volume is mapped to ${mapping.devicePath} of VM ${mapping.vmId}`,
    { details: { device_path: mapping.devicePath }, cause },
  );
}

export function noMapping(volumeId: string): DaemonError {
  return new DaemonError(
    'MAPPING_NOT_FOUND',
    `Volume ${volumeId} has no mapping, so it can have no export: mapping not found`,
    { details: { volume_id: volumeId } },
  );
}
