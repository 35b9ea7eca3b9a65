import type { OperationReply } from '~/lab/client';
import type { Rig } from '../rig';
import type { Bench } from './bench';
import { type EndState, endState } from './end-state';
import type { Disks, Scenario, Subject } from './scenarios';
import { type Point, Trace } from './trace';

/** One operation, and where the daemon shall die in it (null: nowhere). */
export interface Trial {
  readonly scenario: Scenario;
  readonly point: Point | null;
}

export interface Outcome {
  readonly trial: Trial;
  /** The daemon was killed exactly there. */
  readonly hit: boolean;
  readonly seen: Trace['seen'];
  readonly end: EndState;
}

interface Going {
  readonly trial: Trial;
  readonly subject: Subject;
  readonly trace: Trace;
  readonly effectsBefore: number;
  ended: Promise<OperationReply> | null;
}

const PATIENCE_MS = 20_000;

/**
 * Several operations at once: each is held at its own point, then the daemon is killed once, which is for
 * each of them a death at exactly that point. It starts again, and every operation is followed to its end.
 */
export async function runBatch({ rig, tracer, disks }: Bench, trials: readonly Trial[]): Promise<Outcome[]> {
  const all = await Promise.all(trials.map((trial) => begin(rig, disks, trial)));
  tracer.follow(all.map(({ trace }) => trace));
  for (const turn of TURNS) {
    const group = all.filter(({ trial }) => turnOf(trial) === turn);
    for (const one of group) one.ended = rig.follow(one.subject.ask);
    await Promise.all(group.map(arrived));
  }
  const anyHit = all.some(({ trace }) => trace.isHit);
  if (anyHit) await rig.daemon.kill();
  tracer.letGo();
  if (anyHit) await rig.restart();
  const outcomes: Outcome[] = [];
  for (const { trial, subject, trace, effectsBefore, ended } of all) {
    const operation = await (ended ?? rig.follow(subject.ask));
    const end = await endState(rig, subject, operation, effectsBefore);
    outcomes.push({ trial, hit: trace.isHit, seen: [...trace.seen], end });
    disks.stuck.delete(operation.volume_id);
  }
  await Promise.all(all.map(({ subject }) => tidy(rig, subject)));
  return outcomes;
}

/**
 * What is held while it holds up everybody else comes last: a journal write keeps the writes of others
 * waiting, a claim keeps others from being claimed, an acceptance from being accepted.
 */
const TURNS = ['at once', 'journal', 'claim', 'accept'] as const;

function turnOf({ point }: Trial): (typeof TURNS)[number] {
  if (!point?.what.startsWith('journal ')) return 'at once';
  if (point.what === 'journal operation:pending') return 'accept';
  return point.what === 'journal operation:executing' ? 'claim' : 'journal';
}

/** Of trials with the same obstacle only one can be held at a time. */
export function obstacleOf(trial: Trial): string | null {
  const turn = turnOf(trial);
  return turn === 'at once' ? null : turn;
}

async function begin(rig: Rig, disks: Disks, trial: Trial): Promise<Going> {
  const subject = await trial.scenario.prepare(rig, disks);
  const { volumeId, name, vmId, snapshotId } = subject;
  const ids = [volumeId || name, ...(vmId ? [vmId] : []), ...(snapshotId ? [snapshotId] : [])];
  const trace = new Trace(ids, trial.point);
  return { trial, subject, trace, effectsBefore: rig.model.effects.length, ended: null };
}

/** At its point, or past it without having come to it. */
async function arrived({ trace, ended }: Going): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const tooLong = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, PATIENCE_MS);
  });
  await Promise.race([trace.hit, ended, tooLong]);
  clearTimeout(timer);
}

/** The appliance has room for so many disks only. */
async function tidy(rig: Rig, { name }: Subject): Promise<void> {
  const volume = rig.model.volumes.find(
    (one) => one.name === name && !one.removed && one.vmId === rig.appliance,
  );
  if (!volume) return;
  const ended = await rig.follow({
    method: 'POST',
    path: `/api/v1/volumes/${volume.id}/detach`,
    body: { force: true },
  });
  if (ended.status !== 'completed') throw new Error(`${name} could not be detached again: ${ended.error}`);
}
