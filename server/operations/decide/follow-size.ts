import type { CloudVolume } from '../../cloudstack/cloud';
import { LIMITS } from '../../core/limits';
import type { MappingEffect } from '../../model/ledger-writes';
import type { Mapping } from '../../model/operation';
import { type Action, type Done, done } from '../action';
import type { Situation } from '../decision';

interface Followed {
  readonly effects: readonly MappingEffect[];
  readonly warnings: readonly string[];
}

const NOTHING: Followed = { effects: [], warnings: [] };

/**
 * The size of the mapping after CloudStack has changed that of the volume. On the appliance it is the size
 * that the guest shows; where the guest does not show the new one, the mapping stays as it is, and sync
 * closes the export until the sizes agree.
 */
export function followSize(s: Situation, volume: CloudVolume): Action | Done<Followed> {
  const { mapping: known, device: fact } = s.facts;
  if (known === undefined) return { do: 'read-mapping', volumeId: volume.id };
  // A mapping to another VM is sync's to judge.
  if (known.kind !== 'seen' || known.value.vmId !== volume.vmId) return done(NOTHING);
  const mapping = known.value;
  if (mapping.vmId !== s.policy.applianceVmId) return followElsewhere(s, mapping, volume.size);
  // Without a serial its size is part of how a disk is told from others.
  if (mapping.serial === null) return done(NOTHING);
  if (!fact) return { do: 'await-device', volume, timeoutMs: LIMITS.RESIZE_SETTLE_MS };
  if (fact.kind !== 'found') {
    const warning = `this guest does not show the new size of ${mapping.devicePath}: ${fact.reason}; its export is closed until it does`;
    return done({ effects: [], warnings: [warning] });
  }
  const { path, diskseq, size } = fact.device;
  const isSame = path === mapping.devicePath && diskseq === mapping.diskseq && fact.bootId === mapping.bootId;
  return done(isSame ? resized(mapping, size) : NOTHING);
}

/** The row of a disk that another daemon serves has the size that its guest shows: it follows by itself. */
function followElsewhere(s: Situation, mapping: Mapping, size: number | null): Action | Done<Followed> {
  const daemon = s.facts.neighbours?.get(mapping.vmId);
  if (daemon === undefined) return { do: 'read-neighbour', vmId: mapping.vmId };
  return done(size === null || daemon?.runs === true ? NOTHING : resized(mapping, size));
}

function resized(mapping: Mapping, size: number): Followed {
  if (mapping.size === size) return NOTHING;
  return { effects: [{ kind: 'put-mapping', mapping: { ...mapping, size } }], warnings: [] };
}
