import type { Device } from '../devices/device';
import type { MappingEffect } from '../model/ledger-writes';
import type { Drift, DriftKind, DriftRemedy } from './drift';

/**
 * One drift and what to do about it. All steps are safe: they change rows, links and export files. Sync never
 * attaches, detaches or deletes a volume, so nothing destructive happens because a timer fired.
 */
export interface Repair {
  readonly drift: Omit<Drift, 'action'>;
  /** Empty: the drift is only reported. */
  readonly steps: readonly RepairStep[];
  /**
   * True when the steps end the drift. False when they only make it harmless (the export of a ghost disk is
   * withdrawn); the drift stays reported until an operator has followed the remedy.
   */
  readonly mends: boolean;
}

export type RepairStep =
  | { readonly kind: 'rows'; readonly effects: readonly MappingEffect[] }
  | {
      readonly kind: 'publish';
      readonly volumeId: string;
      readonly device: Device;
      readonly bootId: string | null;
    }
  | { readonly kind: 'withdraw'; readonly exportName: string };

interface Found {
  readonly kind: DriftKind;
  readonly volumeId: string | null;
  readonly vmId: string | null;
  readonly devicePath: string | null;
  readonly message: string;
}

const BY_ITSELF = 'nothing to do: force-sync repairs it';

/** A drift whose steps end it. */
export function mended(found: Found, steps: readonly RepairStep[], remedy: string = BY_ITSELF): Repair {
  return { drift: { ...found, remedy, remedyBy: 'force-sync', notJudgedSince: null }, steps, mends: true };
}

/**
 * A drift that an operator has to end: `remedy` is the exact command or click, `remedyBy` what of it the
 * daemon can be asked to do, the steps only make the drift harmless.
 */
export function reported(
  found: Found,
  remedy: string,
  steps: readonly RepairStep[] = [],
  remedyBy: DriftRemedy | null = null,
): Repair {
  return { drift: { ...found, remedy, remedyBy, notJudgedSince: null }, steps, mends: false };
}

/**
 * The same without steps that delete rows: of a database that was adopted, until a person has seen them.
 * Exports that lead to a wrong disk are withdrawn all the same.
 */
export function spareRows(repair: Repair): Repair {
  const steps = repair.steps.filter(
    (step) => step.kind !== 'rows' || !step.effects.some(({ kind }) => kind === 'delete-mapping'),
  );
  if (steps.length === repair.steps.length) return repair;
  const remedy =
    'the row is of the daemon before this one, so nothing is deleted before somebody has seen it: volumectl adopt --plan shows it; the next sync repairs it';
  return { drift: { ...repair.drift, remedy }, steps, mends: false };
}
