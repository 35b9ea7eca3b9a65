import type { Clock } from '../core/clock';
import { DaemonError } from '../core/errors';
import { LIMITS } from '../core/limits';
import type { Ledger, Release } from '../model/ledger';
import type { NeighbourDaemons } from '../model/neighbour-daemons';
import { type Caller, isTerminal, type Operation } from '../model/operation';

interface Parts {
  readonly ledger: Pick<Ledger, 'takeOver' | 'abandonHeld' | 'releaseLease'>;
  readonly clock: Clock;
  readonly stopping: AbortSignal;
  readonly neighbours: NeighbourDaemons;
}

/** What the owner of an appliance is called while an operation of it is abandoned from elsewhere. */
const ABANDONS = 'abandons operation';

/**
 * Ends an operation that another appliance was executing, or had not begun, and that nobody will continue:
 * an appliance that was built anew has another VM id. The volume of what it executes would stay blocked
 * for ever, and sync leaves a volume alone for which anything waits. Only when the daemon of that
 * appliance does not run, by the rule of a take-over (../model/lease.ts), which may take as long as a
 * lease lasts. It is written as the owner of that appliance, so that a daemon that comes back has lost the
 * lease and writes nothing late.
 *
 * Throws OPERATION_NOT_HELD when that daemon runs, or comes back at this moment, or somebody else ends
 * operations of that appliance at this moment.
 */
export async function abandonElsewhere(
  { ledger, clock, stopping, neighbours }: Parts,
  { id, applianceId, status }: Operation,
  caller: Caller | null,
): Promise<Release> {
  if (isTerminal(status)) return 'not-held';
  const refuse = (why: string, retryAfterSeconds?: number) =>
    new DaemonError('OPERATION_NOT_HELD', `Operation ${id} is ${why}`, {
      details: { operation_id: id, appliance_id: applianceId },
      ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
    });
  // That one has no lease: whether it runs is not known, and what it leaves is ended at the next take-over.
  if (applianceId === '')
    throw refuse('of the previous daemon, which may run: it is ended at the next start');
  let daemon = await neighbours.look(applianceId);
  if (daemon !== null && daemon.toldInMs > 0) {
    await clock.sleep(Math.ceil(daemon.toldInMs) + 1, stopping);
    // Woken before its time, the second look could not tell.
    if (stopping.aborted)
      throw new DaemonError('STOPPING', 'The daemon is stopping', { retryAfterSeconds: 5 });
    daemon = await neighbours.look(applianceId);
  }
  const refuseFor = (owner: string) =>
    owner.startsWith(ABANDONS)
      ? refuse(
          `of appliance ${applianceId}, of which somebody ${owner} at this moment: try again`,
          LIMITS.LEASE_MS / 1000,
        )
      : refuse(
          `of appliance ${applianceId}, whose daemon (${owner}) runs: retry, abandon or cancel it there`,
        );
  // Somebody else is at it, or the answer to an earlier try was lost: by then its lease has ended.
  if (daemon?.runs === true) throw refuseFor(daemon.owner);
  const seen = daemon?.row ?? null;
  try {
    const epoch = await ledger.takeOver(applianceId, `${ABANDONS} ${id}`, { seen, instance: '' });
    try {
      return await ledger.abandonHeld(epoch, id, caller, `no daemon runs for its appliance ${applianceId}`);
    } finally {
      await ledger.releaseLease(epoch).catch(() => undefined);
    }
  } catch (error) {
    if (!(error instanceof DaemonError) || error.code !== 'LEASE_LOST') throw error;
    // The lease of that appliance, which somebody has taken first: of our own nothing is lost.
    const now = await neighbours.look(applianceId);
    if (now?.runs === true) throw refuseFor(now.owner);
    // Who has ended by now is nobody to turn to.
    throw refuse(`of appliance ${applianceId}, whose owner has just changed: try again`, 1);
  }
}
