import { defineCommand, runMain } from 'citty';
import { type Bench, openBench } from '~/test/faults/crash/bench';
import { type CrashReport, runCrashPoints } from '~/test/faults/crash/run';
import { runDatabaseFaults, textOfDatabaseFaults } from '~/test/faults/load/database-faults';
import { runKills, textOfKills } from '~/test/faults/load/kills';
import { Rig } from '~/test/faults/rig';

/** The long fault programmes, on demand. `npm test` runs short forms of the same code. */
const common = {
  seed: { type: 'string', default: '1', description: 'The same seed makes the same choices' },
  clients: { type: 'string', default: '20', description: 'Callers that work all the time' },
  json: { type: 'boolean', default: false, description: 'Print the report as JSON' },
} as const;

const kills = defineCommand({
  meta: { name: 'kills', description: 'kill -9 of the daemon at random moments under load' },
  args: { kills: { type: 'string', default: '200', description: 'How often' }, ...common },
  run: ({ args }) =>
    onRig(true, async (rig) => {
      const report = await runKills(rig, {
        kills: whole('kills', args.kills),
        ...loadOf(args),
        onProgress: progress,
      });
      print(args.json, report, textOfKills(report));
      return report.wrong.length === 0;
    }),
});

const database = defineCommand({
  meta: { name: 'database', description: 'Faults of the database and of the way to it, under load' },
  args: { faults: { type: 'string', default: '500', description: 'How many' }, ...common },
  run: ({ args }) =>
    onRig(false, async (rig) => {
      const report = await runDatabaseFaults(rig, {
        faults: whole('faults', args.faults),
        ...loadOf(args),
        onProgress: progress,
      });
      print(args.json, report, textOfDatabaseFaults(report));
      return report.wrong.length === 0;
    }),
});

const points = defineCommand({
  meta: { name: 'points', description: 'kill -9 at every journal write and every call of every operation' },
  args: {
    appliances: { type: 'string', default: '2', description: 'Appliances that work side by side' },
    json: common.json,
  },
  run: async ({ args }) => {
    const benches: Bench[] = [];
    try {
      for (let n = whole('appliances', args.appliances); n > 0; n -= 1) benches.push(await openBench());
      const report = await runCrashPoints(benches, { questions: true, onProgress: progress });
      print(args.json, report, textOfPoints(report));
      process.exitCode = report.wrong.length === 0 && report.missed.length === 0 ? 0 : 1;
    } finally {
      for (const { rig } of benches) await rig.close();
    }
  },
});

const main = defineCommand({
  meta: {
    name: 'npm run faults --',
    description:
      'Breaks the built daemon on a private MariaDB and a simulated CloudStack, and counts what was lost or doubled',
  },
  subCommands: { kills, database, points },
});

function textOfPoints({ lines, wrong, missed }: CrashReport): string {
  return [
    ...lines,
    ...wrong.map((one) => `wrong end: ${JSON.stringify(one)}`),
    ...missed.map((point) => `never came to ${point}`),
  ].join('\n');
}

async function onRig(direct: boolean, work: (rig: Rig) => Promise<boolean>): Promise<void> {
  const rig = await Rig.begin({ direct, env: { NBD_BACKEND: 'none' } });
  try {
    process.exitCode = (await work(rig)) ? 0 : 1;
  } finally {
    await rig.close();
  }
}

function loadOf(args: { seed: string; clients: string }): { seed: number; clients: number } {
  return { seed: whole('seed', args.seed), clients: whole('clients', args.clients) };
}

function whole(name: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  process.stderr.write(`--${name} must be a whole number, not ${text}\n`);
  process.exit(2);
}

function progress(text: string): void {
  process.stderr.write(`▸ ${text}\n`);
}

function print(json: boolean, report: object, text: string): void {
  process.stdout.write(`${json ? JSON.stringify(report, null, 2) : text}\n`);
}

void runMain(main);
