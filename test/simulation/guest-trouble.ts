import type { Holder } from '~/server/devices/device';
import { SeededRandom } from './random';
import type { Item, Script } from './script-items';

const GIB = 1024 ** 3;
/** Of chance: what is drawn here moves nothing of the rest of a schedule. */
const STREAM = 5;
/** ms within which it goes wrong, as in ./script.ts. */
const SPAN = 15_000;

export const GUEST_MISHAPS = ['resized', 'used'] as const;

/** Users that stay until they leave, and forbid an export. */
const STAYING: readonly Holder[] = [
  { kind: 'mount', detail: '/data' },
  { kind: 'swap', detail: 'swap' },
  { kind: 'holder', detail: 'dm-0 (vg-data)' },
  { kind: 'own', detail: 'line 1 of the list of own disks' },
];
/** Users that may be gone in a moment. */
const PASSING: readonly Holder[] = [
  { kind: 'open', detail: 'pid 445 ((udev-worker))' },
  { kind: 'claimed', detail: 'an exclusive open fails' },
  { kind: 'unknown', detail: '/proc/445/fd' },
];

/**
 * About a third of the schedules happen in a guest with troubles of its own: few slots, volumes that are
 * resized in CloudStack and later here or not at all, disks that this system uses.
 */
export function withGuestTrouble(script: Script): Script {
  const random = new SeededRandom(script.seed, STREAM);
  if (!random.chance(0.35)) return script;
  const { volumes } = script.world;
  const few = random.chance(0.5);
  const slots = {
    count: 1 + random.below(Math.max(1, volumes - 1)),
    shown: random.chance(0.8),
    wait: random.chance(0.5),
  };
  const items = [
    ...(few ? crowd(random, volumes) : []),
    ...Array.from({ length: 1 + random.below(3) }, () => anyStory(random, volumes)).flat(),
  ];
  return {
    ...script,
    world: { ...script.world, ...(few ? { slots } : {}) },
    items: [...script.items, ...items].sort((a, b) => a.at - b.at),
  };
}

/** More disks than fit are attached at once; some of them make room again. */
function crowd(random: SeededRandom, volumes: number): Item[] {
  const at = Math.round(random.between(0, SPAN));
  const attaches = Array.from(
    { length: volumes + 1 },
    (_, volume): Item => ({ at: at + random.below(2_000), ask: { kind: 'attach', volume, where: 'here' } }),
  );
  const leaving = Array.from(
    { length: random.below(volumes + 1) },
    (): Item => ({
      at: at + 3_000 + random.below(20_000),
      ask: { kind: 'detach', volume: random.below(volumes), force: false },
    }),
  );
  return [...attaches, ...leaving];
}

function anyStory(random: SeededRandom, volumes: number): Item[] {
  const at = Math.round(random.between(0, SPAN));
  const volume = random.below(volumes);
  const story = random.pick([resizedAndPublished, resizedAndPublished, usedAndPublished, passedBy, anyUse]);
  return story(random, at, volume);
}

/** What makes a daemon export a disk that is there: a request, a sync, a detach that is undone. */
function published(random: SeededRandom, at: number, volume: number): Item[] {
  const again = random.pick([
    { kind: 'publish', volume },
    { kind: 'sync' },
    { kind: 'detach', volume, force: false },
  ] as const);
  return [
    ...(random.chance(0.5) ? [{ at, ask: { kind: 'withdraw', volume, force: true } } as const] : []),
    { at: at + 500 + random.below(5_000), ask: again },
  ];
}

/** A volume grows in CloudStack; the guest shows it at once, late, or not until the disk is plugged anew. */
function resizedAndPublished(random: SeededRandom, at: number, volume: number): Item[] {
  const guestMs = random.pick([0, 500, 9_000, null, null]);
  const mishap = { kind: 'resized', volume, moreBytes: random.pick([1, 2, 5]) * GIB, guestMs } as const;
  const when = at + random.below(10_000);
  return [
    ...(random.chance(0.7) ? [{ at, ask: { kind: 'attach', volume, where: 'here' } } as const] : []),
    { at: when, mishap },
    ...published(random, when, volume),
  ];
}

/** The system takes a disk for itself, before or after it is exported. */
function usedAndPublished(random: SeededRandom, at: number, volume: number): Item[] {
  const when = at + random.below(10_000);
  return [
    { at, ask: { kind: 'attach', volume, where: 'here' } },
    { at: when, mishap: { kind: 'used', volume, by: random.pick(STAYING), ms: random.pick([8_000, null]) } },
    ...published(random, when, volume),
  ];
}

/** A worker of udev has a new disk open. */
function passedBy(random: SeededRandom, at: number, volume: number): Item[] {
  const by = random.pick(PASSING);
  return [
    { at, ask: { kind: 'attach', volume, where: 'here' } },
    {
      at: at + random.below(1_500),
      mishap: { kind: 'used', volume, by, ms: random.pick([100, 1_000, 3_000]) },
    },
  ];
}

function anyUse(random: SeededRandom, at: number, volume: number): Item[] {
  const by = random.pick([...STAYING, ...PASSING]);
  return [{ at, mishap: { kind: 'used', volume, by, ms: random.pick([100, 3_000, 8_000, null]) } }];
}
