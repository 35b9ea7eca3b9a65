import { availableParallelism } from 'node:os';
import { programOptions, wholeNumber } from '~/lab/program-options';
import { MUTANTS } from './mutants';
import { hunt, verdictText } from './plant';
import { runPool } from './pool';
import { scheduleText, toText, violationText } from './report';
import { runSchedule } from './schedule';
import { parseReplay, shrink } from './shrink';
import type { Totals } from './totals';

const HELP = `npm run simulate [-- options]

Runs the real engine, correlation and sync in a simulated world where everything goes wrong (docs/proofs/simulation.md).

  --schedules <n>        how many schedules (default 10000)
  --seed <n>             the first seed; the others follow it (default 1)
  --processes <n>        processes to use (default: one per core)
  --replay <1234:0,5,7>  run one schedule and show what happens in it: a seed, or what a violation has printed
  --mutants              plant faults in the daemon, one after the other, and say which seed finds each
  --json                 print the figures as JSON
  --help                 this text
`;

async function main(): Promise<void> {
  const options = programOptions(HELP, {
    schedules: { type: 'string', default: '10000' },
    seed: { type: 'string', default: '1' },
    processes: { type: 'string', default: String(availableParallelism()) },
    replay: { type: 'string' },
    mutants: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  });
  if (options.replay !== undefined) return replay(options.replay);
  const processes = wholeNumber('processes', options.processes);
  const from = wholeNumber('seed', options.seed);
  const count = wholeNumber('schedules', options.schedules);
  if (options.mutants) return mutants(from, count, processes);
  const begun = performance.now();
  const totals = await runPool({ from, count, processes, progress: progressOf(count) });
  const seconds = (performance.now() - begun) / 1000;
  if (options.json) process.stdout.write(`${JSON.stringify({ ...totals, seconds })}\n`);
  else process.stdout.write(toText(totals, seconds));
  const [first] = totals.found;
  if (!first) return;
  process.exitCode = 1;
  const { replay: text, script, outcome } = await shrink(first.seed, first.invariant);
  process.stderr.write(violationText(first, text));
  process.stderr.write(scheduleText(script, outcome));
}

/** Says every tenth of the way how far it is, and at once what was found. */
function progressOf(count: number): (totals: Totals) => void {
  let told = 0;
  let shown = 0;
  return ({ schedules, found }) => {
    for (const violation of found.slice(shown))
      process.stderr.write(violationText(violation, String(violation.seed)));
    shown = found.length;
    const tenths = Math.floor((10 * schedules) / count);
    if (tenths <= told || tenths === 10) return;
    told = tenths;
    process.stderr.write(`▸ ${schedules} of ${count} schedules, ${found.length} violations\n`);
  };
}

async function mutants(from: number, count: number, processes: number): Promise<void> {
  for (const mutant of MUTANTS) {
    const verdict = await hunt(mutant, { from, count, processes });
    process.stdout.write(verdictText(verdict));
    if (!verdict.found) process.exitCode = 1;
  }
}

async function replay(text: string): Promise<void> {
  const script = parseReplay(text);
  const outcome = await runSchedule(script, { trace: true });
  process.stdout.write(scheduleText(script, outcome));
  if (outcome.violation) process.exitCode = 1;
}

await main();
