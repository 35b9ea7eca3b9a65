import { SeededRandom } from './random';
import type { Item, Mishap, Script } from './script-items';

const GIB = 1024 ** 3;
/** Of chance: what is drawn here moves nothing of the rest of a schedule. */
const STREAM = 7;
/** ms within which it happens, as in ./script.ts. */
const SPAN = 15_000;

/**
 * In about a third of the schedules other people use the same CloudStack: they move volumes while the daemon
 * works on them, plug volumes of their own into this guest, stop and start it, and change rows; and disks
 * stop telling their serials.
 */
export function withOtherPeople(script: Script): Script {
  const random = new SeededRandom(script.seed, STREAM);
  if (!random.chance(0.35)) return script;
  const { volumes } = script.world;
  const world = withOddSerials(random, script.world);
  const stories = Array.from({ length: 1 + random.below(3) }, () => anyStory(random, volumes)).flat();
  return { ...script, world, items: [...script.items, ...stories].sort((a, b) => a.at - b.at) };
}

/** A hypervisor that has begun to give disks serials meanwhile; volumes whose ids somebody has chosen. */
function withOddSerials(random: SeededRandom, world: Script['world']): Script['world'] {
  if (!world.serials || random.chance(0.6)) return world;
  return random.chance(0.5)
    ? { ...world, serialsFrom: Math.round(random.between(2_000, 2 * SPAN)) }
    : { ...world, volumes: Math.max(2, world.volumes), twins: true };
}

function anyStory(random: SeededRandom, volumes: number): Item[] {
  const at = Math.round(random.between(0, SPAN));
  const story = random.pick([
    visited,
    visited,
    owedWhileVisited,
    takenMeanwhile,
    takenMeanwhile,
    muted,
    coldStarted,
    rowsOfOthers,
    doneForNothing,
    any,
  ]);
  return story(random, at, random.below(volumes));
}

/** As large as the volumes of the schedule, mostly. */
function aVisitor(random: SeededRandom): Mishap {
  const bytes = (random.chance(0.8) ? 5 : 6) * GIB;
  return { kind: 'visitor', bytes, ms: random.pick([2_000, 8_000, 20_000, null]) };
}

function aMove(random: SeededRandom, volume: number): Mishap {
  return { kind: 'by-hand', volume, to: random.pick(['here', 'elsewhere', 'nowhere', 'back', 'back']) };
}

/** Disks of others come while one of ours is awaited; one of them, or two at once. */
function visited(random: SeededRandom, at: number, volume: number): Item[] {
  const when = at + random.below(3_000);
  return [
    { at: at + 1_000, ask: { kind: 'attach', volume, where: 'here' } },
    { at: when, mishap: aVisitor(random) },
    ...(random.chance(0.4) ? [{ at: when + random.below(200), mishap: aVisitor(random) }] : []),
  ];
}

/** The disk that is awaited does not come, or comes late, and that of somebody else comes. */
function owedWhileVisited(random: SeededRandom, at: number, volume: number): Item[] {
  const kind = random.pick(['no-device', 'late-device', 'agent-fails', 'job-fails-after-effect'] as const);
  return [
    { at, mishap: { kind: 'cloudstack', fault: { command: 'attachVolume', kind, ms: 12_000 } } },
    { at: at + 1, ask: { kind: 'attach', volume, where: 'here' } },
    { at: at + random.below(6_000), mishap: aVisitor(random) },
  ];
}

/** What is asked for is done by somebody else as well, or undone, between two steps. */
function takenMeanwhile(random: SeededRandom, at: number, volume: number): Item[] {
  const asked = at + 5_000;
  const ask = random.pick([
    { kind: 'attach', volume, where: 'here' },
    { kind: 'detach', volume, force: true },
    { kind: 'detach', volume, force: true },
    { kind: 'delete', volume, force: true },
    { kind: 'cleanup', volume, deleteVm: false, forceClean: true },
  ] as const);
  const fault = random.pick([
    { command: 'detachVolume', kind: 'fail-before-effect', times: 2 },
    { command: 'detachVolume', kind: 'drop-reply-after-effect' },
    { command: 'detachVolume', kind: 'stale-read', ms: 9_000 },
    { command: 'attachVolume', kind: 'stale-read', ms: 9_000 },
    { command: 'attachVolume', kind: 'drop-reply-after-effect' },
  ] as const);
  return [
    { at, ask: { kind: 'attach', volume, where: random.chance(0.7) ? 'here' : 'elsewhere' } },
    ...(random.chance(0.5) ? [{ at: asked - 1, mishap: { kind: 'cloudstack', fault } } as const] : []),
    { at: asked, ask },
    ...Array.from({ length: 1 + random.below(2) }, () => ({
      at: asked + random.below(random.chance(0.7) ? 3_000 : 20_000),
      mishap: aMove(random, volume),
    })),
  ];
}

/** A disk hangs, or fails every request, before its volume goes somewhere else. */
function muted(random: SeededRandom, at: number, volume: number): Item[] {
  const becomes = random.pick(['unreadable', 'absent'] as const);
  const after = random.pick([
    { kind: 'detach', volume, force: true },
    { kind: 'delete', volume, force: true },
    { kind: 'sync' },
    { kind: 'attach', volume: volume + 1, where: 'here' },
  ] as const);
  const muteAt = at + 3_000 + random.below(6_000);
  return [
    { at, ask: { kind: 'attach', volume, where: 'here' } },
    { at: muteAt, mishap: { kind: 'serial-muted', volume, becomes } },
    ...(random.chance(0.4)
      ? [{ at: muteAt + random.below(3_000), mishap: aMove(random, volume) } as const]
      : []),
    { at: muteAt + random.below(3_000), ask: after },
  ];
}

/** The appliance is stopped and started while something is under way. */
function coldStarted(random: SeededRandom, at: number, volume: number): Item[] {
  const asks = [
    { kind: 'attach', volume: volume + 1, where: 'here' },
    { kind: 'detach', volume, force: true },
    { kind: 'delete', volume, force: true },
  ] as const;
  const kind = random.pick(['no-device', 'late-device', 'ghost-disk'] as const);
  const fault = { command: random.pick(['attachVolume', 'detachVolume']), kind, ms: 12_000 } as const;
  return [
    ...(random.chance(0.5) ? [{ at, mishap: { kind: 'cloudstack', fault } } as const] : []),
    { at, ask: { kind: 'attach', volume, where: 'here' } },
    { at: at + 3_000, ask: random.pick(asks) },
    { at: at + 2_000 + random.below(4_000), mishap: { kind: 'cold-start', ms: random.pick([500, 5_000]) } },
  ];
}

/** Rows that say what nobody has seen, or what was true a while ago. */
function rowsOfOthers(random: SeededRandom, at: number, volume: number): Item[] {
  const when = at + random.below(8_000);
  const rows = random.chance(0.5)
    ? ([
        { at: when, mishap: { kind: 'mapping-deleted', volume } },
        { at: when + 1, mishap: { kind: 'row-written', volume, letter: random.below(4) } },
      ] as const)
    : ([{ at: when, mishap: { kind: 'rows-restored', ms: random.pick([2_000, 10_000]) } }] as const);
  return [
    { at, ask: { kind: 'attach', volume, where: 'here' } },
    ...rows,
    {
      at: when + random.below(8_000),
      ask: random.pick([
        { kind: 'sync' },
        { kind: 'detach', volume, force: false },
        { kind: 'attach', volume, where: 'here' },
        { kind: 'attach', volume, where: 'elsewhere' },
        { kind: 'publish', volume },
      ] as const),
    },
  ];
}

/** CloudStack says that it has done what it has not done. */
function doneForNothing(random: SeededRandom, at: number, volume: number): Item[] {
  const command = random.pick(['attachVolume', 'detachVolume']);
  const fault = { command, kind: 'job-without-effect', times: random.pick([1, 1, 4]) } as const;
  return [
    { at, ask: { kind: 'attach', volume, where: random.chance(0.7) ? 'here' : 'elsewhere' } },
    { at: command === 'attachVolume' ? at : at + 4_000, mishap: { kind: 'cloudstack', fault } },
    { at: at + 4_001, ask: { kind: 'detach', volume, force: true } },
    ...(random.chance(0.5) ? [{ at: at + 4_000 + random.below(20_000), mishap: aMove(random, volume) }] : []),
  ];
}

function any(random: SeededRandom, at: number, volume: number): Item[] {
  return [{ at, mishap: random.chance(0.3) ? aVisitor(random) : aMove(random, volume) }];
}
