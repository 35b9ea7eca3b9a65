import { SeededRandom } from './random';
import type { Ask, Item, Script } from './script-items';

const GIB = 1024 ** 3;
/** Of chance: what is drawn here moves nothing of the rest of a schedule. */
const STREAM = 9;
/** ms within which it is asked for, as in ./script.ts. */
const SPAN = 15_000;

/**
 * In about a sixth of the schedules several management servers answer, some of them from what was up to nine
 * seconds ago; and callers ask for operations of one volume right after one another, so that each begins when
 * the one before it has just ended.
 */
export function withOldReads(script: Script): Script {
  const random = new SeededRandom(script.seed, STREAM);
  if (!random.chance(0.17)) return script;
  const lagMs = () => Math.round(random.pick([0, 0, 400, 2_000, 5_000, 9_000]) * random.between(0.5, 1));
  const world = { ...script.world, serverLagsMs: Array.from({ length: 2 + random.below(2) }, lagMs) };
  const stories = Array.from({ length: 1 + random.below(3) }, () => oneAfterTheOther(random, script)).flat();
  return { ...script, world, items: [...script.items, ...stories].sort((a, b) => a.at - b.at) };
}

function oneAfterTheOther(random: SeededRandom, { world }: Script): Item[] {
  const at = Math.round(random.between(0, SPAN));
  const volume = random.below(world.volumes);
  return Array.from({ length: 2 + random.below(4) }, (_one, index) => ({
    at: at + index * 50 + random.below(random.chance(0.7) ? 50 : 4_000),
    ask: anyAsk(random, volume),
  }));
}

function anyAsk(random: SeededRandom, volume: number): Ask {
  const asks: readonly Ask[] = [
    { kind: 'attach', volume, where: 'here' },
    { kind: 'attach', volume, where: 'here' },
    { kind: 'attach', volume, where: 'elsewhere' },
    { kind: 'detach', volume, force: random.chance(0.5) },
    { kind: 'detach', volume, force: random.chance(0.5) },
    { kind: 'detach', volume, force: false },
    { kind: 'delete', volume, force: random.chance(0.5) },
    { kind: 'cleanup', volume, deleteVm: random.chance(0.3), forceClean: random.chance(0.7) },
    { kind: 'resize', volume, moreBytes: random.pick([0, GIB, 2 * GIB]) },
    { kind: 'snapshot', volume },
    { kind: 'revert', volume, which: 0 },
    { kind: 'sync' },
  ];
  return random.pick(asks);
}
