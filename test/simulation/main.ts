import { availableParallelism } from 'node:os';
import { defineCommand, runMain } from 'citty';
import { MUTANTS } from './mutants';
import { hunt, verdictText } from './plant';
import { runPool } from './pool';
import { scheduleText, toText, violationText } from './report';
import { runSchedule } from './schedule';
import { parseReplay, shrink } from './shrink';
import type { Totals } from './totals';

const command = defineCommand({
  meta: {
    name: 'npm run simulate --',
    description:
      'Runs the real engine, correlation and sync in a simulated world where everything goes wrong (docs/proofs/simulation.md)',
  },
  args: {
    schedules: { type: 'string', default: '10000', description: 'How many schedules', valueHint: 'N' },
    seed: {
      type: 'string',
      default: '1',
      description: 'The first seed; the others follow it',
      valueHint: 'S',
    },
    processes: { type: 'string', description: 'Processes to use (default: one per core)', valueHint: 'P' },
    replay: {
      type: 'string',
      description: 'Runs one schedule and shows what happens in it: a seed, or what a violation has printed',
      valueHint: '1234:0,5,7',
    },
    mutants: {
      type: 'boolean',
      description: 'Plants faults in the daemon, one after the other, and says which seed finds each',
    },
    json: { type: 'boolean', description: 'Print the figures as JSON' },
  },
  async run({ args }) {
    if (args.replay !== undefined) return replay(args.replay);
    const processes =
      args.processes === undefined ? availableParallelism() : whole(args.processes, '--processes');
    if (args.mutants)
      return mutants(whole(args.seed, '--seed'), whole(args.schedules, '--schedules'), processes);
    const begun = performance.now();
    const totals = await runPool({
      from: whole(args.seed, '--seed'),
      count: whole(args.schedules, '--schedules'),
      processes,
      progress: progressOf(whole(args.schedules, '--schedules')),
    });
    const seconds = (performance.now() - begun) / 1000;
    if (args.json) process.stdout.write(`${JSON.stringify({ ...totals, seconds })}\n`);
    else process.stdout.write(toText(totals, seconds));
    const [first] = totals.found;
    if (!first) return;
    process.exitCode = 1;
    const { replay: text, script, outcome } = await shrink(first.seed, first.invariant);
    process.stderr.write(violationText(first, text));
    process.stderr.write(scheduleText(script, outcome));
  },
});

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

function whole(text: string, name: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0)
    throw new RangeError(`${name} must be a whole number, not ${text}`);
  return value;
}

await runMain(command);
