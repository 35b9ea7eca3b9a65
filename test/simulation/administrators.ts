import { SeededRandom } from './random';
import type { Administration, Ask, Item, Script } from './script-items';

/** Of chance: what is drawn here moves nothing of the rest of a schedule. */
const STREAM = 11;
/** ms within which it happens, as in ./script.ts. */
const SPAN = 15_000;
/** The first seed whose schedule has administrators: those before it stay what they have always been. */
export const ADMINISTERED_FROM = 1_000_000_000;

export const ADMINISTRATIONS = [
  'deletes',
  'migrates',
  'stops',
  'starts',
  'destroys',
  'unlisted',
] as const satisfies readonly Administration['kind'][];

/**
 * Administrators use CloudStack past the daemon, while it works on the same things: they delete volumes and
 * bring them back, move them to another storage, stop, start and destroy the other VM; and a list of volumes
 * leaves one out that is there.
 */
export function withAdministrators(script: Script): Script {
  const random = new SeededRandom(script.seed, STREAM);
  const stories = Array.from({ length: 1 + random.below(3) }, () => anyStory(random, script)).flat();
  const items = [...script.items, ...stories].sort((a, b) => a.at - b.at);
  return {
    ...script,
    world: { ...script.world, trash: random.chance(0.4), unused: random.chance(0.3) },
    items,
  };
}

function anyStory(random: SeededRandom, { world }: Script): Item[] {
  const at = Math.round(random.between(0, SPAN));
  const volume = random.below(world.volumes);
  // The daemon of a neighbour lives in the other VM.
  const stories = world.neighbour
    ? [ofVolume, recovered, usedOnce]
    : [ofVolume, ofVolume, ofVm, recovered, usedOnce];
  return random.pick(stories)(random, at, volume);
}

/** Deleted by a caller, and brought back by another one, or by nobody, while answers are lost. */
function recovered(random: SeededRandom, at: number, volume: number): Item[] {
  const command = random.pick(['destroyVolume', 'deleteVolume', 'recoverVolume', 'recoverVolume'] as const);
  const kind = random.pick(
    command === 'destroyVolume'
      ? ([
          'drop-reply-after-effect',
          'job-fails-after-effect',
          'lose-job',
          'job-without-effect',
          'stale-read',
        ] as const)
      : (['drop-reply-after-effect', 'fail-before-effect', 'late-reply', 'agent-fails'] as const),
  );
  const fault = { command, kind, ms: 9_000, times: random.pick([1, 1, 3]) } as const;
  const deleteAt = at + random.below(4_000);
  return [
    ...(random.chance(0.6) ? [{ at, mishap: { kind: 'cloudstack', fault } } as const] : []),
    ...(random.chance(0.5) ? [{ at, ask: { kind: 'attach', volume, where: 'here' } } as const] : []),
    { at: deleteAt, ask: { kind: 'delete', volume, force: true } },
    { at: deleteAt + random.below(random.chance(0.5) ? 1_000 : 12_000), ask: { kind: 'recover', volume } },
    ...(random.chance(0.5) ? asked(random, deleteAt + 1_000, volume) : []),
  ];
}

/** Attached for the first time, detached and deleted again, each when the one before it has just ended. */
function usedOnce(_random: SeededRandom, at: number, volume: number): Item[] {
  return [
    { at, ask: { kind: 'attach', volume, where: 'here' } },
    { at: at + 50, ask: { kind: 'detach', volume, force: true } },
    { at: at + 100, ask: { kind: 'delete', volume, force: true } },
  ];
}

/** What is asked for comes right before it, in the middle of it or after it. */
function ofVolume(random: SeededRandom, at: number, volume: number): Item[] {
  const does = random.pick<Administration>([
    { kind: 'deletes', volume, recoverMs: random.pick([null, null, 500, 8_000, 60_000]) },
    { kind: 'migrates', volume, ms: random.pick([300, 4_000, 20_000, 90_000]) },
    { kind: 'unlisted', volume, ms: random.pick([300, 5_000, 40_000, 200_000]) },
  ]);
  return [
    { at, ask: { kind: 'attach', volume, where: random.chance(0.6) ? 'here' : 'elsewhere' } },
    ...asked(random, at, volume),
    { at: at + random.below(random.chance(0.5) ? 2_000 : 10_000), mishap: { kind: 'administrator', does } },
    ...(random.chance(0.4) ? asked(random, at, volume) : []),
  ];
}

function ofVm(random: SeededRandom, at: number, volume: number): Item[] {
  const does = () =>
    random.pick<Administration>([
      { kind: 'stops' },
      { kind: 'starts' },
      { kind: 'starts' },
      { kind: 'destroys', expunge: random.chance(0.5) },
    ]);
  return [
    { at, ask: { kind: 'attach', volume, where: random.chance(0.3) ? 'here' : 'elsewhere' } },
    ...asked(random, at, volume),
    ...Array.from({ length: 1 + random.below(3) }, () => ({
      at: at + random.below(random.chance(0.5) ? 3_000 : 10_000),
      mishap: { kind: 'administrator', does: does() } as const,
    })),
  ];
}

function asked(random: SeededRandom, at: number, volume: number): Item[] {
  const ask = random.pick<Ask>([
    { kind: 'attach', volume, where: 'here' },
    { kind: 'attach', volume, where: 'elsewhere' },
    { kind: 'detach', volume, force: random.chance(0.5) },
    { kind: 'detach', volume, force: true },
    { kind: 'delete', volume, force: true },
    { kind: 'cleanup', volume, deleteVm: random.chance(0.6), forceClean: random.chance(0.7) },
    { kind: 'recover', volume },
    { kind: 'recover', volume },
    { kind: 'snapshot', volume },
    { kind: 'sync' },
  ]);
  return [{ at: at + random.below(random.chance(0.5) ? 1_000 : 8_000), ask }];
}
