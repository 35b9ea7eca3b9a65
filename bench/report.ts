import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { type Figure, isReached } from './bench';
import { machine } from './measure';

const BASELINE = fileURLToPath(new URL('./baseline.json', import.meta.url));

const baselineSchema = z.object({
  machine: z.string(),
  date: z.iso.datetime(),
  /** Suite → commit it was measured on. */
  commits: z.record(z.string(), z.string()),
  figures: z.array(
    z.object({
      suite: z.string(),
      what: z.string(),
      value: z.number(),
      unit: z.string(),
      goal: z.object({ bound: z.enum(['≤', '≥']), value: z.number() }).nullable(),
      detail: z.string(),
    }),
  ),
});

/** Everything as JSON, for programs and for bench/baseline.json. */
export function toJson(figures: readonly Figure[], earlier: Readonly<Record<string, string>> = {}): string {
  const commit =
    spawnSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).stdout?.trim() ||
    'an unknown commit';
  const suites = [...new Set(figures.map(({ suite }) => suite))];
  const commits = Object.fromEntries(suites.map((suite) => [suite, earlier[suite] ?? commit]));
  return `${JSON.stringify({ machine: machine(), date: new Date().toISOString(), commits, figures }, null, 2)}\n`;
}

/** Keeps the figures; those of suites that did not run stay as they were. */
export function save(figures: readonly Figure[]): void {
  const ran = new Set(figures.map(({ suite }) => suite));
  const baseline = readBaseline();
  const kept = baseline?.figures.filter(({ suite }) => !ran.has(suite)) ?? [];
  const commits = Object.entries(baseline?.commits ?? {}).filter(([suite]) => !ran.has(suite));
  writeFileSync(BASELINE, toJson([...kept, ...figures], Object.fromEntries(commits)));
}

/** The kept run for bench/results.md: a table per suite. */
export function baselineTables(): string {
  const baseline = readBaseline();
  if (!baseline) return 'No run has been kept.';
  const suites = [...new Set(baseline.figures.map(({ suite }) => suite))];
  const table = (name: string) =>
    [
      `### ${name}`,
      '',
      `Measured on ${baseline.commits[name] ?? 'an unknown commit'}.`,
      '',
      '| figure | value | goal | detail |',
      '| --- | ---: | --- | --- |',
      ...baseline.figures
        .filter(({ suite }) => suite === name)
        .map(
          (figure) => `| ${figure.what} | ${valueText(figure)} | ${goalText(figure)} | ${figure.detail} |`,
        ),
    ].join('\n');
  return [`${baseline.machine}; ${baseline.date.slice(0, 10)}.`, ...suites.map(table)].join('\n\n');
}

/** The ten figures that docs/proofs/performance.md shows. */
const HEADLINE: readonly (readonly [suite: string, what: string])[] = [
  ['accept', 'accept, 1 client, p99'],
  ['accept', 'accept / bare'],
  ['cycle', 'attach: added by us, p99'],
  ['detection', 'device visible → attach completed, p99'],
  ['queue', 'beside the ideal schedule, jobs of 1000 ms'],
  ['streams', 'operation ended → long poll answered, p99'],
  ['start', 'start to ready, 1,000,000 operations, p99'],
  ['queries', 'GET operation, 1 M operations, p99'],
  ['footprint', 'resident memory after 5000 operations'],
  ['soak', 'effects lost or doubled'],
];

/** The kept run in ten lines. Throws when a figure has been renamed and HEADLINE has not. */
export function baselineHeadline(): string {
  const baseline = readBaseline();
  if (!baseline) return 'No run has been kept.';
  const rows = HEADLINE.map(([suite, what]) => {
    const figure = baseline.figures.find((one) => one.suite === suite && one.what === what);
    if (!figure) throw new Error(`bench/baseline.json has no figure "${what}" of ${suite}`);
    return `| ${suite} | ${what} | ${valueText(figure)} | ${goalText(figure)} |`;
  });
  return [
    `${baseline.machine}; ${baseline.date.slice(0, 10)}.`,
    '',
    '| suite | figure | value | goal |',
    '| --- | --- | ---: | --- |',
    ...rows,
  ].join('\n');
}

function valueText({ value, unit }: Figure): string {
  return `${format(value)} ${unit}`.trim();
}

function goalText(figure: Figure): string {
  const { goal } = figure;
  return goal === null ? '' : `${goal.bound} ${goal.value} ${isReached(figure) ? '✔' : '✘'}`;
}

/** A table per suite: value, goal, whether it is reached, ratio to the kept run. */
export function toTables(figures: readonly Figure[]): string {
  const baseline = readBaseline();
  const rows = figures.map((figure) => {
    const { suite, what, value, unit, detail } = figure;
    const old = baseline?.figures.find((kept) => kept.suite === suite && kept.what === what)?.value;
    return [
      suite,
      what,
      `${format(value)} ${unit}`,
      goalText(figure),
      old === undefined || old === 0 ? '' : `×${(value / old).toFixed(2)}`,
      detail,
    ] as const;
  });
  const headings = ['suite', 'figure', 'value', 'goal', 'to baseline', 'detail'] as const;
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => (column === 2 ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0))).join(' | ')} |`;
  const missed = figures.filter((figure) => !isReached(figure)).length;
  const goals = figures.filter(({ goal }) => goal !== null).length;
  return [
    '',
    machine(),
    '',
    line(headings),
    `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`,
    ...rows.map(line),
    '',
    `${goals - missed} of ${goals} goals reached`,
    '',
  ].join('\n');
}

function format(value: number): string {
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en-US');
  return value.toFixed(Math.abs(value) >= 100 ? 0 : 2);
}

function readBaseline(): z.infer<typeof baselineSchema> | null {
  if (!existsSync(BASELINE)) return null;
  return baselineSchema.parse(JSON.parse(readFileSync(BASELINE, 'utf8')));
}
