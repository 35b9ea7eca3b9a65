import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse, stringify } from 'yaml';
import { CASES, HEALTHY, IDLE } from './cases';

const HELP = `npm run alerts [-- --help]

Shows with Prometheus' own promtool that no alert of packaging/prometheus fires for a daemon that works, or for one that has just
started, within an hour, and that each one fires within it on its cause, and no other does. PROMTOOL names the program; without it the
one on the PATH is used (Debian: apt install prometheus).
`;
const RULES = fileURLToPath(new URL('../../packaging/prometheus/volume-daemon.rules.yml', import.meta.url));
const CHECKED_MINUTES = [10, 30, 58];

interface Rule {
  readonly alert: string;
}
const parsed: { readonly groups: readonly { readonly rules: readonly Rule[] }[] } = parse(
  readFileSync(RULES, 'utf8'),
);
const alerts = parsed.groups.flatMap(({ rules }) => rules.map(({ alert }) => alert));

/** Query of the alerts that fire, so that neither labels nor annotations have to be repeated here. */
function firing(minutes: number, names: readonly string[]) {
  const samples = names.map((name) => ({ labels: `{alertname="${name}"}`, value: 1 }));
  return {
    expr: 'count by (alertname) (ALERTS{alertstate="firing"})',
    eval_time: `${minutes}m`,
    exp_samples: samples.map(({ labels, value }) => ({ labels, value })),
  };
}

function test(name: string, series: Readonly<Record<string, string>>, checks: readonly object[]) {
  return {
    name,
    interval: '1m',
    input_series: Object.entries(series).map(([key, values]) => ({ series: key, values })),
    promql_expr_test: checks,
  };
}

const silent = (name: string, series: Readonly<Record<string, string>>) =>
  test(
    name,
    series,
    CHECKED_MINUTES.map((minutes) => firing(minutes, [])),
  );

if (process.argv.includes('--help')) process.stdout.write(HELP);
else {
  const dir = mkdtempSync(join(tmpdir(), 'alerts-'));
  try {
    const tests = [
      silent('a daemon that works', HEALTHY),
      silent('a daemon that has just started', IDLE),
      ...alerts.map((alert) =>
        test(`${alert}: ${CASES[alert]?.cause}`, { ...HEALTHY, ...CASES[alert]?.series }, [
          firing(58, [alert]),
        ]),
      ),
    ];
    const file = join(dir, 'alerts.test.yml');
    writeFileSync(file, stringify({ rule_files: [RULES], evaluation_interval: '1m', tests }));
    const { status, error } = spawnSync(process.env.PROMTOOL ?? 'promtool', ['test', 'rules', file], {
      stdio: 'inherit',
    });
    if (error) process.stderr.write(`promtool could not be started: ${error.message}\n`);
    if (status === 0)
      process.stdout.write(`${alerts.length} alerts: silent when all is well, each fires on its cause\n`);
    process.exitCode = status === 0 ? 0 : 1;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
