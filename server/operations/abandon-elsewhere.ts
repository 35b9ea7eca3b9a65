import type { Clock } from '../core/clock';
import { DaemonError } from '../core/errors';
import type { Ledger, Release } from '../model/ledger';
import type { NeighbourDaemons } from '../model/neighbour-daemons';
import type { Caller, Operation } from '../model/operation';

interface Parts {
  readonly ledger: Pick<Ledger, 'takeOver' | 'hold' | 'abandonHeld' | 'releaseLease'>;
  readonly clock: Clock;
  readonly stopping: AbortSignal;
  readonly neighbours: NeighbourDaemons;
}

/**
 * Ends an operation that another appliance was executing and that nobody will continue: an appliance that was
 * built anew has another VM id, and the volume of such an operation would stay blocked for ever. Only when
 * the daemon of that appliance does not run, by the rule of a take-over (../model/lease.ts), which may take
 * as long as a lease lasts. It is written as the owner of that appliance, so that a daemon that comes back
 * has lost the lease and writes nothing late.
 *
 * Throws OPERATION_NOT_HELD when that daemon runs, LEASE_LOST when it comes back at this moment.
 */
export async function abandonElsewhere(
  { ledger, clock, stopping, neighbours }: Parts,
  { id, applianceId, status, held }: Operation,
  caller: Caller | null,
): Promise<Release> {
  // Those of the daemon before this one (decision 0002) are of no appliance: no lease tells whether it runs, and a row
  // for one would be found by whoever relies on there being none.
  if (status !== 'executing' || applianceId === '') return 'not-held';
  let daemon = await neighbours.look(applianceId);
  if (daemon !== null && daemon.toldInMs > 0) {
    await clock.sleep(Math.ceil(daemon.toldInMs) + 1, stopping);
    daemon = await neighbours.look(applianceId);
  }
  if (daemon?.runs === true)
    throw new DaemonError(
      'OPERATION_NOT_HELD',
      `Operation ${id} is of appliance ${applianceId}, whose daemon (${daemon.owner}) runs: retry or abandon it there`,
      { details: { operation_id: id, appliance_id: applianceId } },
    );
  const seen = daemon?.row ?? null;
  const epoch = await ledger.takeOver(applianceId, `abandons operation ${id}`, { seen, instance: '' });
  try {
    if (held === null) await ledger.hold(epoch, id, `no daemon runs for its appliance ${applianceId}`);
    return await ledger.abandonHeld(epoch, id, caller);
  } finally {
    await ledger.releaseLease(epoch).catch(() => undefined);
  }
}
