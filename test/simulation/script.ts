import type { Fault } from '~/lab/cloudstack/faults';
import { ADMINISTERED_FROM, withAdministrators } from './administrators';
import { withContent } from './content';
import { withGuestTrouble } from './guest-trouble';
import { withNeighbour } from './neighbour';
import { withOldReads } from './old-reads';
import { withOtherPeople } from './other-people';
import { SeededRandom } from './random';
import { RESTARTED_FROM, withRestarts } from './restarts';
import { anyScene, spoiltRowScene } from './scenes';
import type { Ambiguity, Ask, Mishap, Script } from './script-items';

const GIB = 1024 ** 3;
/** ms within which everything is asked for and goes wrong. */
const SPAN = 15_000;
/** Of chance: see spoiltRowScene. */
const HELD_STREAM = 4;

export const MISHAPS = [
  'crash',
  'drain',
  'reboot',
  'clock-jump',
  'database-clock-jump',
  'pause',
  'database-away',
  'management-restart',
  'device-vanishes',
  'guest-unreadable',
  'mapping-deleted',
  'export-server-away',
  'hidden',
  'lockout',
  'namesake',
  'moved-by-hand',
  'other-vm-runs',
] as const;
type MishapClass = (typeof MISHAPS)[number] | 'reply' | 'job' | 'hypervisor' | 'read';

/**
 * The schedule of a seed. Each draws its own mix of mishaps, so that rare ones are not always hidden behind
 * frequent ones.
 */
export function scriptOf(seed: number): Script {
  const script = withOldReads(earlierScriptOf(seed));
  if (seed < ADMINISTERED_FROM) return script;
  return seed < RESTARTED_FROM ? withAdministrators(script) : withRestarts(script);
}

/** Without management servers that lag behind, which have joined last. */
export function earlierScriptOf(seed: number): Script {
  const alone = withContent(withGuestTrouble(withSpoiltRow(firstScriptOf(seed))));
  return withNeighbour(withOtherPeople(alone));
}

/** Without what has joined since seeds were kept: what was found with it is found in it for ever. */
export function firstScriptOf(seed: number): Script {
  const random = new SeededRandom(seed, 1);
  const volumes = 1 + random.below(4);
  const world: Script['world'] = {
    volumes,
    equalSizes: random.chance(0.7),
    serials: random.chance(0.8),
    slowSerials: random.chance(0.2),
    daemons: random.chance(0.3) ? 2 : 1,
    rollback: random.chance(0.7) ? 'detach' : 'keep',
    exports: random.chance(0.9),
    elsewhere: random.chance(0.4) ? 1 + random.below(volumes) : 0,
    otherVmRuns: random.chance(0.5),
  };
  const allowed = MISHAPS.filter(() => random.chance(0.3));
  const asks = timed(random, 2 + random.below(9), () => ({ ask: anyAsk(random, volumes) }));
  const count = allowed.length === 0 ? 0 : 1 + random.below(5);
  const mishaps = timed(random, count, () => ({ mishap: anyMishap(random, random.pick(allowed), volumes) }));
  // Faults of CloudStack wait for their command, so they are prepared early.
  const prepared = timed(random, random.chance(0.5) ? 0 : 1 + random.below(4), () => ({
    mishap: anyMishap(random, random.pick(['reply', 'job', 'hypervisor', 'read']), volumes),
  })).map((item) => (random.chance(0.5) ? { ...item, at: 0 } : item));
  const scenes = random.chance(0.35) ? anyScene(random, random.between(0, SPAN), volumes) : [];
  return { seed, world, items: [...asks, ...mishaps, ...prepared, ...scenes].sort((a, b) => a.at - b.at) };
}

function withSpoiltRow(script: Script): Script {
  const random = new SeededRandom(script.seed, HELD_STREAM);
  if (!random.chance(0.1)) return script;
  const scene = spoiltRowScene(random, random.between(0, SPAN), random.below(script.world.volumes));
  return { ...script, items: [...script.items, ...scene].sort((a, b) => a.at - b.at) };
}

/** Bursts: much of what goes wrong goes wrong because two things come together. */
function timed<T extends object>(random: SeededRandom, count: number, make: () => T): (T & { at: number })[] {
  const bursts = Array.from({ length: 3 }, () => random.between(0, SPAN));
  return Array.from({ length: count }, () => {
    const at = random.chance(0.6) ? random.pick(bursts) + random.between(0, 1_000) : random.between(0, SPAN);
    return { ...make(), at: Math.round(at) };
  });
}

function anyAsk(random: SeededRandom, volumes: number): Ask {
  // One more than there are: a volume that the schedule has created, when there is one.
  const volume = random.below(volumes + 1);
  const dice = random.fraction();
  if (dice < 0.34) return { kind: 'attach', volume, where: random.chance(0.85) ? 'here' : 'elsewhere' };
  if (dice < 0.58) return { kind: 'detach', volume, force: random.chance(0.3) };
  if (dice < 0.65) return { kind: 'delete', volume, force: random.chance(0.3) };
  if (dice < 0.75) {
    const bytes = random.chance(0.5) ? 5 * GIB : 3 * GIB + random.below(GIB);
    return { kind: 'create', name: `made-${random.below(3)}`, bytes, fixed: random.chance(0.2) };
  }
  if (dice < 0.82)
    return { kind: 'cleanup', volume, deleteVm: random.chance(0.4), forceClean: random.chance(0.6) };
  if (dice < 0.86) return { kind: 'cancel' };
  if (dice < 0.9) return { kind: 'sync' };
  if (dice < 0.93) return { kind: 'publish', volume };
  if (dice < 0.95) return { kind: 'withdraw', volume, force: random.chance(0.5) };
  const ms = random.between(100, 20_000);
  return dice < 0.98 ? { kind: 'client', volume, ms } : { kind: 'hold', volume, ms };
}

function anyMishap(random: SeededRandom, mishap: MishapClass, volumes: number): Mishap {
  const volume = random.below(volumes);
  switch (mishap) {
    case 'crash':
      return {
        kind: 'crash',
        who: random.below(2),
        point: {
          of: random.chance(0.6) ? 'change' : 'any',
          call: 1 + random.below(12),
          side: random.chance(0.5) ? 'before' : 'after',
        },
        back: random.pick([0, 100, 1_000, 15_000]),
      };
    case 'drain':
      return { kind: 'drain', who: random.below(2), back: random.pick([0, 1_000, 10_000]) };
    case 'reboot':
      return { kind: 'reboot', ms: random.between(500, 20_000) };
    case 'clock-jump':
      return {
        kind: 'clock-jump',
        ms: random.pick([-7_200_000, -240_000, -10_000, -1_000, 1_000, 10_000, 240_000, 7_200_000]),
      };
    case 'database-clock-jump':
      return {
        kind: 'database-clock-jump',
        ms: random.pick([-34_560_000_000, -7_200_000, -3_000, 1_000, 3_800, 60_000, 34_560_000_000]),
      };
    case 'pause':
      return {
        kind: 'pause',
        who: random.below(2),
        ms: random.pick([300, 3_000, 5_000, 20_000]),
        atCall: random.chance(0.5),
      };
    case 'database-away':
      return {
        kind: 'database-away',
        ms: random.pick([1, 500, 5_000, 20_000]),
        afterCommit: random.chance(0.5),
      };
    case 'reply':
      return { kind: 'cloudstack', fault: replyFault(random) };
    case 'job':
      return { kind: 'cloudstack', fault: jobFault(random) };
    case 'hypervisor':
      return { kind: 'cloudstack', fault: hypervisorFault(random) };
    case 'management-restart':
      return {
        kind: 'management-restart',
        work: random.pick(['lost', 'hypervisor-only', 'completed']),
        stuck: random.chance(0.5),
        ms: random.pick([0, 1_000, 20_000]),
      };
    case 'device-vanishes':
      return { kind: 'device-vanishes', volume };
    case 'guest-unreadable':
      return { kind: 'guest-unreadable', ms: random.pick([100, 5_000, 40_000]) };
    case 'mapping-deleted':
      return { kind: 'mapping-deleted', volume };
    case 'hidden':
    case 'lockout':
    case 'namesake':
    case 'moved-by-hand':
    case 'other-vm-runs':
      return { kind: 'ambiguity', what: anyAmbiguity(random, mishap, volume) };
    case 'read':
      return { kind: 'cloudstack', fault: readFault(random) };
    case 'export-server-away':
      return { kind: 'export-server-away', ms: random.pick([500, 10_000, 90_000]) };
    default:
      return mishap satisfies never;
  }
}

function anyAmbiguity(random: SeededRandom, kind: Ambiguity['kind'], volume: number): Ambiguity {
  switch (kind) {
    case 'hidden':
      return {
        kind,
        of: random.pick(['volume', 'volume', 'volume', 'other-vm', 'appliance', 'account']),
        volume,
        ms: random.pick([200, 5_000, 40_000, 200_000]),
      };
    case 'lockout':
      return {
        kind,
        how: random.pick(['database-away', 'user-disabled']),
        ms: random.pick([50, 4_000, 60_000, 240_000]),
        delayMs: random.chance(0.3) ? 30_000 : 0,
      };
    case 'namesake':
      return { kind, name: `made-${random.below(3)}`, bytes: random.chance(0.5) ? 5 * GIB : 4 * GIB };
    case 'moved-by-hand':
      return { kind, volume };
    case 'other-vm-runs':
      return { kind };
    default:
      return kind satisfies never;
  }
}

/** Old reads, and denials of jobs that there are. */
function readFault(random: SeededRandom): Fault {
  if (random.chance(0.5))
    return { command: 'queryAsyncJobResult', kind: 'unknown-job', times: random.pick([1, 2, 4]) };
  const command = random.pick(['attachVolume', 'detachVolume', 'createVolume', 'deleteVolume']);
  return { command, kind: 'stale-read', ms: random.pick([300, 3_000, 9_000]) };
}

const MUTATIONS = ['createVolume', 'attachVolume', 'detachVolume', 'deleteVolume'] as const;
const READS = ['listVolumes', 'queryAsyncJobResult', 'listVirtualMachines'] as const;
/** ms after which the daemon stops waiting for an answer (LIMITS.CLOUDSTACK_TIMEOUT_MS). */
const PATIENCE_MS = 30_000;

/** Lost, late, duplicated and broken replies. */
function replyFault(random: SeededRandom): Fault {
  const command = random.chance(0.75) ? random.pick(MUTATIONS) : random.pick(READS);
  const times = random.chance(0.7) ? 1 : 3;
  const kind = random.pick([
    'drop-reply-after-effect',
    'fail-before-effect',
    'status',
    'status-after-effect',
    'html',
    'garbage',
    'late-reply',
    'delay',
    'duplicate-request',
  ] as const);
  switch (kind) {
    case 'status':
      return { command, kind, times, code: random.pick([429, 503, 530, 533, 534, 535, 431, 401]) };
    case 'status-after-effect':
      return { command, kind, times, code: random.pick([503, 504, 530]) };
    case 'late-reply':
      return { command, kind, ms: random.pick([500, 10_000, PATIENCE_MS + 5_000]) };
    case 'delay':
      // A createVolume that arrives after the daemon has believed the denial of its job makes a second
      // volume, which the daemon can only report (docs/proofs/simulation.md).
      return {
        command,
        kind,
        ms: command === 'createVolume' ? 1_500 : random.pick([500, 10_000, PATIENCE_MS + 9_000]),
      };
    case 'duplicate-request':
      // CloudStack makes the row before it looks at the job id, so a network that doubles a createVolume
      // doubles the volume.
      return { command: command === 'createVolume' ? 'attachVolume' : command, kind, times };
    default:
      return { command, kind, times };
  }
}

/** Lost jobs, and jobs that failed before or after their effect. */
function jobFault(random: SeededRandom): Fault {
  const command = random.pick(['createVolume', 'attachVolume', 'detachVolume', 'stopVirtualMachine', '*']);
  const kind = random.pick([
    'lose-job',
    'job-without-result',
    'job-without-result-after-effect',
    'job-code-0',
    'job-code-0-after-effect',
    'job-fails',
    'job-fails-after-effect',
    'no-storage',
    'no-endpoint',
    'not-scheduled',
    'vm-busy',
  ] as const);
  const text = random.pick([
    'Failed for the test',
    'the agent is unreachable',
    'There was a concurrent operation',
  ]);
  return { command, kind, text, times: random.chance(0.7) ? 1 : 3 };
}

/** Devices that never come, come late, never leave, leave late, or come without CloudStack knowing. */
function hypervisorFault(random: SeededRandom): Fault {
  if (random.chance(0.2))
    return { command: random.pick(['deleteVolume', 'attachVolume', 'detachVolume']), kind: 'agent-fails' };
  const kind = random.pick(['no-device', 'late-device', 'ghost-disk', 'detach-timeout'] as const);
  const command =
    kind === 'detach-timeout'
      ? 'detachVolume'
      : kind === 'ghost-disk'
        ? random.pick(['attachVolume', 'detachVolume'])
        : 'attachVolume';
  const never = kind === 'detach-timeout' && random.chance(0.3);
  return { command, kind, ...(never ? {} : { ms: random.pick([200, 3_000, 12_000]) }) };
}
