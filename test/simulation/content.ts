import type { Fault } from '~/lab/cloudstack/faults';
import { SeededRandom } from './random';
import type { Ask, Item, Script } from './script-items';

const GIB = 1024 ** 3;
/** Of chance: what is drawn here moves nothing of the rest of a schedule. */
const STREAM = 6;
/** ms within which it is asked for, as in ./script.ts. */
const SPAN = 15_000;
const COMMANDS = [
  'resizeVolume',
  'createSnapshot',
  'createSnapshot',
  'deleteSnapshot',
  'revertSnapshot',
] as const;
/** ms after which the daemon stops waiting for an answer (LIMITS.CLOUDSTACK_TIMEOUT_MS). */
const PATIENCE_MS = 30_000;

/**
 * In about a third of the schedules volumes are resized, snapshotted and reverted, among everything else, and
 * CloudStack loses answers, jobs and rows of it.
 */
export function withContent(script: Script): Script {
  const random = new SeededRandom(script.seed, STREAM);
  if (!random.chance(0.35)) return script;
  const { volumes } = script.world;
  const stories = Array.from({ length: 1 + random.below(3) }, () => anyStory(random, volumes)).flat();
  const faults = Array.from(
    { length: random.below(4) },
    (): Item => ({
      at: random.chance(0.5) ? 0 : Math.round(random.between(0, SPAN)),
      mishap: { kind: 'cloudstack', fault: anyFault(random) },
    }),
  );
  return { ...script, items: [...script.items, ...stories, ...faults].sort((a, b) => a.at - b.at) };
}

function anyStory(random: SeededRandom, volumes: number): Item[] {
  const at = Math.round(random.between(0, SPAN));
  const volume = random.below(volumes);
  const stories = [resized, resized, taken, taken, reverted, reverted, deleted, grouped, grouped];
  return random.pick(stories)(random, at, volume);
}

/** Somebody else may resize it as well, between the intent and the call. */
function resized(random: SeededRandom, at: number, volume: number): Item[] {
  const ask = { kind: 'resize', volume, moreBytes: random.pick([-GIB, 0, 1, GIB, 2 * GIB]) } as const;
  const again = random.chance(0.3) ? [{ at: at + random.below(5_000), ask }] : [];
  if (random.chance(0.6)) return [{ at, ask }, ...again];
  const lost = { command: 'resizeVolume', kind: 'fail-before-effect', times: random.pick([1, 3]) } as const;
  const mishap = { kind: 'resized', volume, moreBytes: 5 * GIB, guestMs: random.pick([0, 500]) } as const;
  return [
    { at, mishap: { kind: 'cloudstack', fault: lost } },
    { at, ask },
    { at: at + 500 + random.below(4_000), mishap },
    ...again,
  ];
}

function taken(random: SeededRandom, at: number, volume: number): Item[] {
  const hidden = {
    kind: 'snapshot-hidden',
    which: 0,
    ms: random.pick([200, 5_000, 60_000]),
  } as const;
  return [
    { at, ask: { kind: 'snapshot', volume } },
    ...(random.chance(0.3) ? [{ at: at + random.below(1_500), mishap: hidden }] : []),
    ...(random.chance(0.3)
      ? [{ at: at + random.below(3_000), ask: { kind: 'snapshot', volume } } as const]
      : []),
  ];
}

/** Detached first or not, with a look at what an attach comes to that is asked for at the same time. */
function reverted(random: SeededRandom, at: number, volume: number): Item[] {
  const when = at + 4_000 + random.below(10_000);
  const asks: Ask[] = [
    { kind: 'revert', volume, which: random.below(2) },
    ...(random.chance(0.3) ? [{ kind: 'attach', volume, where: 'here' } as const] : []),
    ...(random.chance(0.2) ? [{ kind: 'revert', volume, which: 0 } as const] : []),
  ];
  return [
    { at, ask: { kind: 'snapshot', volume } },
    ...(random.chance(0.6)
      ? [{ at: at + 3_000, ask: { kind: 'detach', volume, force: true } } as const]
      : []),
    ...asks.map((ask) => ({ at: when + random.below(2_000), ask })),
  ];
}

/** Of what has been attached by then, while one of the disks may leave. */
function grouped(random: SeededRandom, at: number, volume: number): Item[] {
  const where = random.chance(0.7) ? 'here' : 'elsewhere';
  const refused = { command: 'createSnapshot', kind: 'status', code: 431 } as const;
  return [
    { at, ask: { kind: 'attach', volume, where } },
    ...(random.chance(0.4) ? [{ at, mishap: { kind: 'cloudstack', fault: refused } } as const] : []),
    { at: at + 3_000 + random.below(8_000), ask: { kind: 'snapshot-group', where } },
    ...(random.chance(0.3)
      ? [{ at: at + 4_000 + random.below(8_000), ask: { kind: 'detach', volume, force: true } } as const]
      : []),
  ];
}

function deleted(random: SeededRandom, at: number, volume: number): Item[] {
  return [
    { at, ask: { kind: 'snapshot', volume } },
    { at: at + 2_000 + random.below(8_000), ask: { kind: 'delete-snapshot', which: random.below(2) } },
    ...(random.chance(0.3) ? [{ at: at + 3_000, ask: { kind: 'delete-snapshot', which: 0 } } as const] : []),
  ];
}

function anyFault(random: SeededRandom): Fault {
  const command = random.pick(COMMANDS);
  const kind = random.pick([
    'drop-reply-after-effect',
    'fail-before-effect',
    'status',
    'status-after-effect',
    'garbage',
    'late-reply',
    'delay',
    'duplicate-request',
    'lose-job',
    'lose-job',
    'job-without-result',
    'job-without-result-after-effect',
    'job-fails',
    'job-fails-after-effect',
  ] as const);
  switch (kind) {
    case 'status':
      return { command, kind, code: random.pick([429, 503, 530, 533, 431, 401]) };
    case 'status-after-effect':
      return { command, kind, code: random.pick([503, 504, 530]) };
    case 'late-reply':
    case 'delay':
      return { command, kind, ms: random.pick([500, 10_000, PATIENCE_MS + 5_000]) };
    default:
      return { command, kind, times: random.chance(0.8) ? 1 : 2 };
  }
}
