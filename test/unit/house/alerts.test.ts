import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { CASES, HEALTHY, IDLE } from '~/test/alerts/cases';

/** `npm run alerts` runs the cases with Prometheus' own promtool; here only that none is forgotten. */
interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly action: string };
}
const path = new URL('../../../packaging/prometheus/volume-daemon.rules.yml', import.meta.url);
const { groups }: { groups: readonly { readonly rules: readonly Rule[] }[] } = parse(
  readFileSync(path, 'utf8'),
);
const rules = groups.flatMap((group) => group.rules);
const nameOf = (series: string) => series.replace(/\{.*/, '');

it('every alert has a case, and every case an alert', () => {
  expect(rules.map(({ alert }) => alert).sort()).toEqual(Object.keys(CASES).sort());
});

it.each(rules)('$alert says how bad it is and what to do, and its case is about what it asks', (rule) => {
  expect(['critical', 'warning', 'info']).toContain(rule.labels.severity);
  expect(rule.annotations.summary).toBeTruthy();
  expect(rule.annotations.action).toBeTruthy();
  for (const series of Object.keys(CASES[rule.alert]?.series ?? {})) {
    expect(rule.expr).toContain(nameOf(series));
    expect(HEALTHY).toHaveProperty([series]);
  }
});

it('a healthy daemon has a series for everything that an alert asks, so that silence means something', () => {
  const healthy = new Set(Object.keys(HEALTHY).map(nameOf));
  const asked = rules.flatMap(({ expr }) => expr.match(/\b(?:up|volume_daemon_\w+|nodejs_\w+)\b/g) ?? []);
  expect([...new Set(asked)].filter((name) => !healthy.has(name))).toEqual([]);
  expect(Object.keys(IDLE).filter((series) => !healthy.has(nameOf(series)))).toEqual([]);
});
