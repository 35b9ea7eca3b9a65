import type { Clock } from '../core/clock';
import type { Appearance, DeviceEvent, DeviceSnapshot } from './device';
import type { Change } from './diff-snapshots';

/** How far the two clocks may drift apart before the wall clock counts as having been set. */
const DRIFT_MS = 2_000;

/** The appearances after a look: what has gone is forgotten, what is new is noted. Pure. */
export function firstSeenAfter(
  before: readonly Appearance[] | undefined,
  changes: readonly Change[],
  now: Pick<Appearance, 'at' | 'uptime'>,
): Appearance[] {
  const gone = new Set(changes.filter(({ type }) => type === 'removed').map(({ device }) => device.name));
  const added = changes.filter(({ type }) => type === 'added').map(({ device }) => device);
  return [
    ...(before ?? []).filter(({ name }) => !gone.has(name)),
    ...added.map(({ name, diskseq }) => ({ name, diskseq, ...now })),
  ];
}

/**
 * The appearances as `added` events, also those that an earlier process saw: after a crash between the plug
 * and the mapping, size and time may be the only evidence. An appearance from before the wall clock was set
 * proves nothing and is left out. Pure.
 */
export function rememberedEvents(
  { devices, appearances = [] }: DeviceSnapshot,
  clock: Pick<Clock, 'now' | 'monotonic'>,
  uptime: number,
): DeviceEvent[] {
  return appearances.flatMap(({ name, diskseq, at, uptime: then }) => {
    const device = devices.find((candidate) => candidate.name === name && candidate.diskseq === diskseq);
    const age = uptime - then;
    const steady = age >= 0 && Math.abs(clock.now() - at - age) <= DRIFT_MS;
    if (!device || !steady) return [];
    return [{ sequence: 0, type: 'added' as const, device, at, monotonic: clock.monotonic() - age }];
  });
}
