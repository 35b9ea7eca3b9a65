import type { SeededRandom } from './random';
import type { Item, SpoiltRow } from './script-items';

const GIB = 1024 ** 3;

/**
 * Stories that need several things at the right moment, which chance alone brings together too rarely. Each
 * is told `at` ms into the schedule, among everything else that happens there.
 */
export function anyScene(random: SeededRandom, at: number, volumes: number): Item[] {
  const volume = random.below(volumes);
  const scene = random.pick([
    lostCreate,
    movedMeanwhile,
    hiddenWhileJudged,
    oldReadJudged,
    vmComesBack,
    lateDiskOfADeleted,
    ghostBeforeAnAttach,
    diskThatOwes,
  ]);
  return scene(random, Math.round(at), volume);
}

/**
 * A create is lost together with its job, while somebody else has a volume of its name; what it then calls
 * its own is deleted.
 */
function lostCreate(random: SeededRandom, at: number, _volume: number): Item[] {
  const name = `made-${random.below(3)}`;
  const command = 'createVolume';
  return [
    { at, mishap: { kind: 'cloudstack', fault: { command, kind: 'fail-before-effect' } } },
    // After the name was found to be free, before the call.
    {
      at: at + 2 + random.below(250),
      mishap: { kind: 'ambiguity', what: { kind: 'namesake', name, bytes: 5 * GIB } },
    },
    { at: at + 1, ask: { kind: 'create', name, bytes: 5 * GIB, fixed: false } },
    { at: at + random.below(90_000), ask: { kind: 'delete', volume: 99, force: false } },
  ];
}

/** A detach never arrives; before it is sent again somebody gives the disk to another VM. */
function movedMeanwhile(random: SeededRandom, at: number, volume: number): Item[] {
  const kind = random.pick(['fail-before-effect', 'status'] as const);
  const fault = { command: 'detachVolume', kind, code: 429, times: random.pick([1, 3]) };
  return [
    { at, ask: { kind: 'attach', volume, where: 'here' } },
    { at: at + 5_000, mishap: { kind: 'cloudstack', fault } },
    { at: at + 5_001, ask: { kind: 'detach', volume, force: true } },
    {
      at: at + 5_100 + random.below(20_000),
      mishap: { kind: 'ambiguity', what: { kind: 'moved-by-hand', volume } },
    },
  ];
}

/** A mapped volume is out of sight while it is detached, deleted or judged by sync. */
function hiddenWhileJudged(random: SeededRandom, at: number, volume: number): Item[] {
  const ask = random.pick([
    { kind: 'sync' },
    { kind: 'detach', volume, force: false },
    { kind: 'delete', volume, force: false },
  ] as const);
  return [
    { at, ask: { kind: 'attach', volume, where: random.chance(0.7) ? 'here' : 'elsewhere' } },
    {
      at: at + 8_000,
      mishap: { kind: 'ambiguity', what: { kind: 'hidden', of: 'volume', volume, ms: 200_000 } },
    },
    { at: at + 8_100 + random.below(30_000), ask },
  ];
}

/** The job of an attach has ended and lists show the world before it, just when sync looks. */
function oldReadJudged(random: SeededRandom, at: number, volume: number): Item[] {
  return [
    {
      at,
      mishap: { kind: 'cloudstack', fault: { command: 'attachVolume', kind: 'stale-read', ms: 12_000 } },
    },
    { at: at + 1, ask: { kind: 'attach', volume, where: random.chance(0.5) ? 'here' : 'elsewhere' } },
    { at: at + 2_000 + random.below(8_000), ask: { kind: 'sync' } },
  ];
}

/** The test VM of a cleanup is started again by somebody, or gets out of sight, between two of its steps. */
function vmComesBack(random: SeededRandom, at: number, volume: number): Item[] {
  const what = random.pick([
    { kind: 'other-vm-runs' },
    { kind: 'hidden', of: 'other-vm', volume, ms: 30_000 },
  ] as const);
  return [
    { at, ask: { kind: 'attach', volume, where: 'elsewhere' } },
    { at: at + 6_000, ask: { kind: 'cleanup', volume, deleteVm: true, forceClean: true } },
    { at: at + 6_000 + random.below(6_000), mishap: { kind: 'ambiguity', what } },
  ];
}

/** The disk of an attach that was given up comes while its volume is being deleted. */
function lateDiskOfADeleted(random: SeededRandom, at: number, volume: number): Item[] {
  const slow = { command: 'deleteVolume', kind: 'delay', ms: 10_000 } as const;
  return [
    {
      at,
      mishap: { kind: 'cloudstack', fault: { command: 'attachVolume', kind: 'late-device', ms: 12_000 } },
    },
    { at, mishap: { kind: 'cloudstack', fault: slow } },
    { at: at + 1, ask: { kind: 'attach', volume, where: 'here' } },
    { at: at + random.below(9_000), ask: { kind: 'delete', volume, force: true } },
  ];
}

/** An attach fails and leaves its disk in the guest; right after it another disk is expected. */
function ghostBeforeAnAttach(random: SeededRandom, at: number, volume: number): Item[] {
  return [
    { at, mishap: { kind: 'cloudstack', fault: { command: 'attachVolume', kind: 'ghost-disk' } } },
    { at: at + 1, ask: { kind: 'attach', volume, where: 'here' } },
    { at: at + 500 + random.below(4_000), ask: { kind: 'attach', volume: volume + 1, where: 'here' } },
  ];
}

/**
 * A volume is attached here, its disk does not come, or comes late, and the next attach waits for one like
 * it.
 */
function diskThatOwes(random: SeededRandom, at: number, volume: number): Item[] {
  const kind = random.pick(['no-device', 'late-device'] as const);
  return [
    { at, mishap: { kind: 'cloudstack', fault: { command: 'attachVolume', kind, ms: 12_000 } } },
    { at: at + 1, ask: { kind: 'attach', volume, where: 'here' } },
    { at: at + 5_000 + random.below(9_000), ask: { kind: 'attach', volume: volume + 1, where: 'here' } },
  ];
}

/**
 * An operation is under way, its row is spoilt, and whoever worked on it dies: the next one cannot understand
 * it. Told by a stream of chance of its own, so that every other schedule stays as it is.
 */
export function spoiltRowScene(random: SeededRandom, at: number, volume: number): Item[] {
  const row: SpoiltRow = {
    which: random.below(4),
    how: random.pick(['journal', 'type', 'request', 'poison']),
    release: random.pick(['retry', 'retry', 'abandon']),
  };
  const begun = Math.round(at);
  const spoiltAt = begun + 5 + random.below(2_500);
  const point = { of: 'any', call: 1 + random.below(4), side: 'before' } as const;
  return [
    {
      at: begun,
      ask: { kind: random.chance(0.7) ? 'attach' : 'detach', volume, where: 'here', force: false },
    },
    { at: begun + random.below(2_000), ask: { kind: 'attach', volume: volume + 1, where: 'here' } },
    { at: spoiltAt, mishap: { kind: 'row-spoilt', row } },
    { at: spoiltAt + 1, mishap: { kind: 'crash', who: 0, point, back: 100 } },
    { at: spoiltAt + 1, mishap: { kind: 'crash', who: 1, point, back: 100 } },
  ];
}
