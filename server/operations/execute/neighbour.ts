import { holdsLease } from '../../model/ledger';
import type { Neighbour } from '../decision';
import type { RunContext } from './run-context';

/** The daemon that runs on this VM, or ran there once, with this database; null: none ever did. */
export async function readNeighbour(run: RunContext, vmId: string): Promise<Neighbour | null> {
  const row = await run.active(() => run.parts.ledger.readOwner(vmId));
  return row && { vmId, owner: row.owner, runs: holdsLease(row) };
}
