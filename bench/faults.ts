import { programOptions, usageError, wholeNumber } from '~/lab/program-options';
import { type Bench, openBench } from '~/test/faults/crash/bench';
import { type CrashReport, runCrashPoints } from '~/test/faults/crash/run';
import { runDatabaseFaults, textOfDatabaseFaults } from '~/test/faults/load/database-faults';
import { runKills, textOfKills } from '~/test/faults/load/kills';
import { Rig } from '~/test/faults/rig';

const HELP = `npm run faults -- <programme> [options]

Breaks the built daemon on a private MariaDB and a simulated CloudStack, and counts what was lost or doubled: the
long fault programmes. npm test runs short forms of the same code.

  kills      kill -9 of the daemon at random moments under load
    --kills <n>       how often (default 200)
  database   faults of the database and of the way to it, under load
    --faults <n>      how many (default 500)
  points     kill -9 at every journal write and every call of every operation
    --appliances <n>  appliances that work side by side (default 2)

  --seed <n>     kills, database: the same seed makes the same choices (default 1)
  --clients <n>  kills, database: callers that work all the time (default 20)
  --json         print the report as JSON
  --help         this text
`;

const json = { type: 'boolean', default: false } as const;
const LOAD = {
  seed: { type: 'string', default: '1' },
  clients: { type: 'string', default: '20' },
  json,
} as const;

async function kills(args: readonly string[]): Promise<void> {
  const options = programOptions(HELP, { kills: { type: 'string', default: '200' }, ...LOAD }, args);
  await onRig(true, async (rig) => {
    const count = wholeNumber('kills', options.kills);
    const report = await runKills(rig, { kills: count, ...loadOf(options), onProgress: progress });
    print(options.json, report, textOfKills(report));
    return report.wrong.length === 0;
  });
}

async function database(args: readonly string[]): Promise<void> {
  const options = programOptions(HELP, { faults: { type: 'string', default: '500' }, ...LOAD }, args);
  await onRig(false, async (rig) => {
    const count = wholeNumber('faults', options.faults);
    const report = await runDatabaseFaults(rig, { faults: count, ...loadOf(options), onProgress: progress });
    print(options.json, report, textOfDatabaseFaults(report));
    return report.wrong.length === 0;
  });
}

async function points(args: readonly string[]): Promise<void> {
  const options = programOptions(HELP, { appliances: { type: 'string', default: '2' }, json }, args);
  const benches: Bench[] = [];
  try {
    for (let n = wholeNumber('appliances', options.appliances); n > 0; n -= 1)
      benches.push(await openBench());
    const report = await runCrashPoints(benches, { questions: true, oneOf: 1, onProgress: progress });
    print(options.json, report, textOfPoints(report));
    process.exitCode = report.wrong.length === 0 && report.missed.length === 0 ? 0 : 1;
  } finally {
    for (const { rig } of benches) await rig.close();
  }
}

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

function loadOf({ seed, clients }: { seed: string; clients: string }): { seed: number; clients: number } {
  return { seed: wholeNumber('seed', seed), clients: wholeNumber('clients', clients) };
}

function progress(text: string): void {
  process.stderr.write(`▸ ${text}\n`);
}

function print(json: boolean, report: object, text: string): void {
  process.stdout.write(`${json ? JSON.stringify(report, null, 2) : text}\n`);
}

const [programme, ...args] = process.argv.slice(2);
switch (programme) {
  case 'kills':
    await kills(args);
    break;
  case 'database':
    await database(args);
    break;
  case 'points':
    await points(args);
    break;
  case '--help':
    process.stdout.write(HELP);
    break;
  default:
    usageError(programme === undefined ? 'a programme is missing' : `there is no programme ${programme}`);
}
