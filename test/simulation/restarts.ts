import { SeededRandom } from './random';
import type { Ask, Item, Script } from './script-items';

/** Of chance: what is drawn here moves nothing of the rest of a schedule. */
const STREAM = 12;
/** ms within which it happens, as in ./script.ts. */
const SPAN = 15_000;
const HOUR_MS = 3_600_000;
/** The first seed whose schedule has such restarts: those before it stay what they have always been. */
export const RESTARTED_FROM = 2_000_000_000;

export const RESTARTS = ['clocks-jump', 'absence'] as const;

/**
 * What a daemon that starts cannot know of itself. Either the clock was set right before, while management
 * servers answer from what was; or it was away for hours or days: CloudStack has deleted the jobs that were
 * sent, and somebody has moved the volumes.
 */
export function withRestarts(script: Script): Script {
  const random = new SeededRandom(script.seed, STREAM);
  return random.chance(0.5) ? withSteps(random, script) : withAbsence(random, script);
}

function withSteps(random: SeededRandom, script: Script): Script {
  const lagMs = () => Math.round(random.pick([0, 2_000, 5_000, 9_000]) * random.between(0.5, 1));
  const world = { ...script.world, serverLagsMs: [lagMs(), Math.round(random.between(4_500, 9_000))] };
  // The database is on the same machine. Of a clock that is wrong when the machine boots nothing tells.
  const both = random.chance(0.4);
  const items = both ? script.items.filter((item) => !isReboot(item)) : script.items;
  const stories = Array.from({ length: 1 + random.below(2) }, () => steppedRestart(random, script, both));
  return { ...script, world, items: inOrder([...items, ...stories.flat()]) };
}

function isReboot(item: Item): boolean {
  return 'mishap' in item && (item.mishap.kind === 'reboot' || item.mishap.kind === 'cold-start');
}

/** Something is asked for, and when it has just ended the clock is set and the daemon dies. */
function steppedRestart(random: SeededRandom, { world }: Script, both: boolean): Item[] {
  const at = Math.round(random.between(0, SPAN));
  const volume = random.below(world.volumes);
  const steppedAt = at + 1_000 + random.below(6_000);
  const ms = random.pick(
    both
      ? [-25 * HOUR_MS, 25 * HOUR_MS, 2_400 * HOUR_MS]
      : [-2 * HOUR_MS, -240_000, 16_000, 60_000, 2 * HOUR_MS],
  );
  const point = { of: 'any', call: 1, side: random.chance(0.5) ? 'before' : 'after' } as const;
  const diesAt = steppedAt + random.below(1_000);
  return [
    { at, ask: anyMove(random, volume) },
    ...(random.chance(0.5) ? [{ at: at + 50, ask: anyMove(random, volume) }] : []),
    { at: steppedAt, mishap: { kind: 'clocks-jump', ms, both } },
    ...[0, 1].map(
      (who) =>
        ({ at: diesAt, mishap: { kind: 'crash', who, point, back: random.pick([0, 300, 2_000]) } }) as const,
    ),
    ...(random.chance(0.5) ? [{ at: diesAt + random.below(9_000), ask: { kind: 'sync' } } as const] : []),
  ];
}

function withAbsence(random: SeededRandom, script: Script): Script {
  const { world } = script;
  const away = Math.round(random.between(500, SPAN));
  const ms = random.pick([0.7, 3, 20, 25, 26, 49]) * HOUR_MS;
  const volume = random.below(world.volumes);
  const command = random.pick([
    'createVolume',
    'attachVolume',
    'attachVolume',
    'detachVolume',
    'detachVolume',
    'deleteVolume',
    '*',
  ]);
  const kind = random.pick([
    'drop-reply-after-effect',
    'fail-before-effect',
    'lose-job',
    'late-reply',
  ] as const);
  const asks = Array.from({ length: 1 + random.below(3) }, () => ({
    at: Math.max(0, away - random.below(random.chance(0.6) ? 800 : 4_000)),
    ask: random.chance(0.25)
      ? ({ kind: 'create', name: `made-${random.below(3)}`, bytes: 5 * 1024 ** 3, fixed: false } as const)
      : anyMove(random, random.chance(0.7) ? volume : random.below(world.volumes)),
  }));
  const moves = Array.from({ length: random.below(3) }, () => ({
    at: away + 60_000 + random.below(ms - 120_000),
    mishap: {
      kind: 'by-hand' as const,
      volume: random.chance(0.7) ? volume : random.below(world.volumes),
      to: random.pick(['here', 'elsewhere', 'elsewhere', 'nowhere', 'back'] as const),
    },
  }));
  const back = away + ms;
  const after = Array.from({ length: 1 + random.below(3) }, () => ({
    at: back + random.below(9_000),
    ask: random.chance(0.3) ? ({ kind: 'sync' } as const) : anyMove(random, volume),
  }));
  return {
    ...script,
    items: inOrder([
      ...script.items.filter((item) => !isReboot(item)),
      ...(random.chance(0.7)
        ? [{ at: 0, mishap: { kind: 'cloudstack', fault: { command, kind, ms: 9_000 } } } as const]
        : []),
      ...asks,
      // With the machine or without it.
      { at: away, mishap: { kind: random.chance(0.7) ? 'absence' : 'reboot', ms } },
      ...moves,
      ...after,
    ]),
  };
}

function inOrder(items: readonly Item[]): Item[] {
  return [...items].sort((a, b) => a.at - b.at);
}

function anyMove(random: SeededRandom, volume: number): Ask {
  return random.pick<Ask>([
    { kind: 'attach', volume, where: 'here' },
    { kind: 'attach', volume, where: 'here' },
    { kind: 'attach', volume, where: 'elsewhere' },
    { kind: 'detach', volume, force: random.chance(0.5) },
    { kind: 'detach', volume, force: random.chance(0.5) },
    { kind: 'delete', volume, force: true },
    { kind: 'snapshot', volume },
    { kind: 'cleanup', volume, deleteVm: random.chance(0.3), forceClean: random.chance(0.7) },
  ]);
}
