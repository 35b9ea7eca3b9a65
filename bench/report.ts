import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { type Figure, isReached } from './bench';
import { machine } from './measure';

const BASELINE = fileURLToPath(new URL('./baseline.json', import.meta.url));

const baselineSchema = z.object({
  machine: z.string(),
  date: z.iso.datetime(),
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
export function toJson(figures: readonly Figure[]): string {
  return `${JSON.stringify({ machine: machine(), date: new Date().toISOString(), figures }, null, 2)}\n`;
}

/** Keeps the figures; those of suites that did not run stay as they were. */
export function save(figures: readonly Figure[]): void {
  const ran = new Set(figures.map(({ suite }) => suite));
  const kept = readBaseline()?.figures.filter(({ suite }) => !ran.has(suite)) ?? [];
  writeFileSync(BASELINE, toJson([...kept, ...figures]));
}

/** The kept run for docs/proofs/performance.md: a table per suite. */
export function baselineTables(): string {
  const baseline = readBaseline();
  if (!baseline) return 'No run has been kept.';
  const suites = [...new Set(baseline.figures.map(({ suite }) => suite))];
  const table = (name: string) =>
    [
      `### ${name}`,
      '',
      '| figure | value | goal | detail |',
      '| --- | ---: | --- | --- |',
      ...baseline.figures
        .filter(({ suite }) => suite === name)
        .map((figure) => {
          const value = `${format(figure.value)} ${figure.unit}`.trim();
          return `| ${figure.what} | ${value} | ${goalText(figure)} | ${figure.detail} |`;
        }),
    ].join('\n');
  return [`${baseline.machine}; ${baseline.date.slice(0, 10)}.`, ...suites.map(table)].join('\n\n');
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
