import type { Random } from '~/server/core/clock';

/** ms, or a range to draw from: that is how the simulation makes answers overtake each other. */
export type Milliseconds = number | readonly [least: number, most: number];

export interface Latency {
  /** From the arrival of the request to its reply; half of it passes before the effect, half after. */
  readonly accept: Milliseconds;
  /** Of the job once it runs; of deleteVolume, which has no job, the work itself. */
  readonly job: Milliseconds;
}

/**
 * `remove` is deleteVolume and destroyVolume, `vm` start, stop and destroy, `read` every list and query,
 * and what takes no time.
 */
export const LATENCY_KEYS = [
  'create',
  'attach',
  'detach',
  'remove',
  'resize',
  'snapshot',
  'vm',
  'read',
] as const;
export type LatencyKey = (typeof LATENCY_KEYS)[number];
export type Latencies = Record<LatencyKey, Latency>;

const DEFAULTS: Readonly<Latencies> = {
  create: { accept: 5, job: 50 },
  attach: { accept: 5, job: 150 },
  detach: { accept: 5, job: 150 },
  remove: { accept: 5, job: 50 },
  resize: { accept: 5, job: 50 },
  snapshot: { accept: 5, job: 100 },
  vm: { accept: 5, job: 150 },
  read: { accept: 0, job: 0 },
};

/** A plain number means the job; such a command is accepted at once. */
export type LatencyOptions = { readonly [K in LatencyKey]?: number | Partial<Latency> };

export function latenciesFrom(options: LatencyOptions = {}): Latencies {
  const one = (key: LatencyKey): Latency => {
    const given = options[key];
    if (given === undefined) return DEFAULTS[key];
    return typeof given === 'number' ? { accept: 0, job: given } : { ...DEFAULTS[key], ...given };
  };
  return {
    create: one('create'),
    attach: one('attach'),
    detach: one('detach'),
    remove: one('remove'),
    resize: one('resize'),
    snapshot: one('snapshot'),
    vm: one('vm'),
    read: one('read'),
  };
}

export function latencyKey(command: string): LatencyKey {
  switch (command) {
    case 'createVolume':
      return 'create';
    case 'attachVolume':
      return 'attach';
    case 'detachVolume':
      return 'detach';
    case 'deleteVolume':
    case 'destroyVolume':
      return 'remove';
    case 'resizeVolume':
      return 'resize';
    case 'createSnapshot':
    case 'revertSnapshot':
    case 'deleteSnapshot':
    case 'createVMSnapshot':
    case 'deleteVMSnapshot':
      return 'snapshot';
    case 'startVirtualMachine':
    case 'stopVirtualMachine':
    case 'destroyVirtualMachine':
      return 'vm';
    default:
      return 'read';
  }
}

export function draw(ms: Milliseconds, random: Random): number {
  return typeof ms === 'number' ? ms : ms[0] + (ms[1] - ms[0]) * random.fraction();
}
