import type { Suite } from '../bench';
import { accept } from './accept';
import { bare } from './bare';
import { cache } from './cache';
import { cluster } from './cluster';
import { cycle } from './cycle';
import { detection } from './detection';
import { devices } from './devices';
import { exports } from './exports';
import { footprint } from './footprint';
import { queries } from './queries';
import { queue } from './queue';
import { soak } from './soak';
import { start } from './start';
import { statements } from './statements';
import { streams } from './streams';
import { unread } from './unread';
import { volumes } from './volumes';

export const suites: readonly Suite[] = [
  accept,
  queries,
  volumes,
  detection,
  devices,
  cycle,
  queue,
  footprint,
  start,
  statements,
  bare,
  streams,
  unread,
  exports,
  cache,
  cluster,
  soak,
];

/** The suites named in a list, or all that do not need to be named. Throws on a name that is none. */
export function selected(names: string | undefined): readonly Suite[] {
  if (names === undefined) return suites.filter(({ onDemand }) => !onDemand);
  return names.split(',').map((name) => {
    const suite = suites.find((known) => known.name === name.trim());
    if (!suite)
      throw new Error(`there is no suite ${name}; there are ${suites.map((known) => known.name).join(', ')}`);
    return suite;
  });
}
