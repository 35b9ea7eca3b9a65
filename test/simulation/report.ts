import type { Outcome } from './schedule';
import type { Script } from './script-items';
import type { Found, Totals } from './totals';

/** Lines of a trace that are shown: the end is where it went wrong. */
const TRACE_LINES = 100;

export function toText(totals: Totals, seconds: number): string {
  const perSecond = totals.schedules / Math.max(seconds, 0.001);
  const perCpuSecond = totals.schedules / Math.max(totals.cpu, 0.001);
  return [
    `schedules            ${totals.schedules}`,
    `events               ${totals.events}`,
    `virtual time         ${(totals.time / 3_600_000).toFixed(1)} h`,
    `rate                 ${perSecond.toFixed(0)} schedules/s (${perCpuSecond.toFixed(0)} per second of CPU)`,
    `violations           ${totals.found.length}`,
    'mishaps that struck',
    ...counts(totals.struck),
    'promises put to the test',
    ...counts(totals.checks),
    '',
  ].join('\n');
}

export function violationText({ seed, invariant, message }: Found, replay: string): string {
  return [
    `✗ seed ${seed} breaks "${invariant}"`,
    `  ${message}`,
    `  npm run simulate -- --replay ${replay}`,
    '',
  ].join('\n');
}

export function scheduleText(script: Script, outcome: Outcome): string {
  const { world, items, seed } = script;
  return [
    `schedule of seed ${seed}: ${JSON.stringify(world)}`,
    ...items.map((item) => `  at ${item.at} ms  ${JSON.stringify('ask' in item ? item.ask : item.mishap)}`),
    'what happened:',
    ...outcome.trace.slice(-TRACE_LINES),
    outcome.violation
      ? `✗ ${outcome.violation.invariant}: ${outcome.violation.message}`
      : `✓ no promise was broken (${outcome.events} events, ${Math.round(outcome.time / 1000)} s of virtual time)`,
    '',
  ].join('\n');
}

function counts(of: Readonly<Record<string, number>>): string[] {
  return Object.entries(of)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, count]) => `  ${name.padEnd(36)} ${count}`);
}
