const TONES = {
  good: ['completed', 'healthy', 'active', 'detected', 'found', 'repaired', 'done'],
  warn: ['degraded', 'waiting', 'cancelled', 'reported', 'planned', 'unknown'],
  bad: ['failed', 'unhealthy', 'missing', 'refused'],
  busy: ['executing', 'running'],
} as const satisfies Record<string, readonly string[]>;

/** The colour of a status or state, in volumectl and in the dashboard. The word is always shown too. */
export function stateTone(state: string): keyof typeof TONES | 'plain' {
  for (const tone of ['good', 'warn', 'bad', 'busy'] as const)
    if (TONES[tone].some((one) => one === state)) return tone;
  return 'plain';
}
