import type { Neighbour } from '../decision';
import type { RunContext } from './run-context';

/**
 * The daemon that runs on this VM, or ran there once, with this database; null: none ever did. Where one look
 * does not tell, it looks again after as long as a lease lasts: one that has renewed its lease meanwhile
 * runs. When the engine stops before that, and where there is no time to wait, it counts as one that runs.
 */
export async function readNeighbour(
  run: RunContext,
  vmId: string,
  mayWait = true,
): Promise<Neighbour | null> {
  const { clock } = run.parts;
  const look = () => run.active(() => run.otherRuns.neighbours.look(vmId));
  const first = await look();
  if (first === null) return null;
  const { owner, runs, toldInMs } = first;
  if (toldInMs === 0 || !mayWait) return { vmId, owner, runs };
  run.waiting = {
    step: 'read-neighbour',
    reason: `whether the daemon of VM ${vmId} (${owner}) still runs is not known yet`,
    attempt: 0,
    nextAttemptAt: clock.now() + toldInMs,
  };
  // A timer may ring a fraction of a ms before its time.
  await clock.sleep(Math.ceil(toldInMs) + 1, run.signal);
  const second = await look();
  return second && { vmId, owner: second.owner, runs: second.runs };
}

/** The same, for the decisions that follow. */
export async function learnNeighbour(run: RunContext, vmId: string): Promise<Neighbour | null> {
  const daemon = await readNeighbour(run, vmId);
  run.learn({ neighbours: new Map([...(run.facts.neighbours ?? []), [vmId, daemon]]) });
  return daemon;
}
