import { copyFileSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { MachineType } from '~/lab/guest/qmp-guest';
import { wholeNumber } from '~/lab/program-options';
import { packDeb } from '~/scripts/deb.mjs';
import { packagedNode } from '~/scripts/packaged-node.mjs';
import { type GuestImage, guestImage, removeOld, snapshotPath } from './image';
import { within } from './patience';
import type { Scenario } from './scenario';
import { SCENARIOS } from './scenarios';
import { World } from './world';

const HELP = `npm run test:appliance [-- options]

Boots a real Linux guest in QEMU with systemd, MariaDB and nbdkit, installs the Debian package of the daemon in it, and runs
scenarios against it; a simulated CloudStack outside plugs real virtio disks in and out. Needs root once, to build the guest image.

  --scenario <name>   only this one; may be repeated
  --machine <type>    only on pc, or only on q35
  --list              names and stories of the scenarios
  --fresh             install the package in a new guest even when a snapshot of exactly this one is in the cache
  --jobs <n>          guests that run at the same time (default: 2 with two processors or more, else 1)
  --minutes <n>       for each guest: one that is not done by then has failed and is stopped (default 20)
  --keep              keep the folders of all scenarios, not only of failed ones
  --help              this text
`;

interface Result {
  readonly name: string;
  readonly machine: MachineType;
  readonly seconds: number;
  readonly note: string;
  readonly failed: boolean;
}

const say = (text: string) => process.stderr.write(`▸ ${text}\n`);

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      scenario: { type: 'string', multiple: true },
      machine: { type: 'string' },
      list: { type: 'boolean', default: false },
      fresh: { type: 'boolean', default: false },
      jobs: { type: 'string' },
      minutes: { type: 'string', default: '20' },
      keep: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return void process.stdout.write(HELP);
  if (values.list) {
    for (const { name, machines, story } of SCENARIOS)
      process.stdout.write(`${name.padEnd(20)} ${machines.join('+').padEnd(7)} ${story}\n`);
    return;
  }
  const unknown = values.scenario?.find((name) => !SCENARIOS.some((one) => one.name === name));
  if (unknown) throw new Error(`there is no scenario ${unknown}; --list names them`);
  const chosen = SCENARIOS.filter(({ name }) => values.scenario?.includes(name) ?? true);
  const begun = performance.now();
  const dir = mkdtempSync(join(tmpdir(), 'volume-appliance-'));
  const results: Result[] = [];
  // Interrupted: QEMU ends with this process; the folder stays when something in it is worth reading.
  for (const signal of ['SIGINT', 'SIGTERM'])
    process.once(signal, () => {
      if (!results.some((result) => result.failed)) rmSync(dir, { recursive: true, force: true });
      process.exit(130);
    });
  const image = await guestImage(say);
  say('packing the Debian package with Node');
  const deb = packDeb({ out: dir, node: packagedNode(), compression: 'none', epoch: 0 });
  const { keep, fresh } = values;
  const minutes = wholeNumber('minutes', values.minutes);
  const plans = (['pc', 'q35'] as const)
    .filter((machine) => (values.machine ?? machine) === machine)
    .map((machine) => ({
      bench: { machine, image, deb, dir, keep, fresh, minutes, template: snapshotPath(image, machine, deb) },
      scenarios: chosen.filter(({ machines }) => machines.includes(machine)),
    }))
    .filter(({ scenarios }) => scenarios.length > 0);
  const jobs = Number(values.jobs ?? Math.min(2, availableParallelism()));
  await runAll(plans, jobs, (result) => {
    results.push(result);
    process.stdout.write(line(result));
  });
  const failed = results.filter((result) => result.failed);
  if (failed.length === 0 && !values.keep) rmSync(dir, { recursive: true, force: true });
  report(results, performance.now() - begun);
  process.exitCode = failed.length > 0 || results.length === 0 ? 1 : 0;
}

interface Bench {
  readonly machine: MachineType;
  readonly image: GuestImage;
  readonly deb: string;
  /** The state after the installation; made when it is missing. */
  readonly template: string;
  readonly dir: string;
  readonly keep: boolean;
  readonly fresh: boolean;
  /** For one guest. */
  readonly minutes: number;
}

interface Plan {
  readonly bench: Bench;
  readonly scenarios: readonly Scenario[];
}

/** The installations, then all scenarios from one queue; `jobs` guests run at the same time. */
async function runAll(plans: readonly Plan[], jobs: number, done: (result: Result) => void): Promise<void> {
  const installed: Plan[] = [];
  await inParallel(plans, jobs, async (plan) => {
    const { bench } = plan;
    if (!bench.fresh && existsSync(bench.template)) return void installed.push(plan);
    const result = await install(bench);
    done(result);
    if (!result.failed) installed.push(plan);
  });
  const queue = installed.flatMap(({ bench, scenarios }) =>
    scenarios.map((scenario) => ({ bench, scenario })),
  );
  queue.sort((a, b) => SCENARIOS.indexOf(a.scenario) - SCENARIOS.indexOf(b.scenario));
  await inParallel(queue, jobs, async ({ bench, scenario }) => done(await runOne(scenario, bench)));
}

/** Works through the items in their order, so many at a time. */
async function inParallel<T>(
  items: readonly T[],
  jobs: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const left = [...items];
  const worker = async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: jobs }, worker));
}

/** Boot, package, snapshot: itself a result, because it is the installation on a clean guest. */
async function install(bench: Bench): Promise<Result> {
  const { machine, image, deb, template } = bench;
  return attempt('install', bench, async (world) => {
    const note = await world.prepare(deb);
    removeOld(image, machine);
    copyFileSync(world.machine.overlay, `${template}.part`);
    renameSync(`${template}.part`, template);
    return note;
  });
}

function runOne(scenario: Scenario, bench: Bench): Promise<Result> {
  return attempt(scenario.name, bench, async (world) => {
    await world.begin(bench.template);
    return scenario.run(world);
  });
}

async function attempt(
  name: string,
  { machine, image, dir, keep, minutes }: Bench,
  work: (world: World) => Promise<string | undefined>,
): Promise<Result> {
  const folder = join(dir, `${machine}-${name}`);
  mkdirSync(folder);
  const begun = performance.now();
  const world = await World.create({ type: machine, image, dir: folder });
  const outcome = await within(minutes, work(world)).then(
    (note = '') => ({ note, failed: false }),
    async (error: unknown) => {
      await world.keep(folder);
      const reason = error instanceof Error ? error.message : String(error);
      return { note: `${reason}\n    kept: ${folder}`, failed: true };
    },
  );
  await world.close();
  if (!outcome.failed && !keep) rmSync(folder, { recursive: true, force: true });
  return { name, machine, seconds: (performance.now() - begun) / 1000, ...outcome };
}

function line({ name, machine, seconds, note, failed }: Result): string {
  return `${failed ? '✗' : '✓'} ${name.padEnd(22)} ${machine.padEnd(4)} ${seconds.toFixed(1).padStart(7)} s  ${note}\n`;
}

function report(results: readonly Result[], ms: number): void {
  const failed = results.filter((result) => result.failed).length;
  process.stdout.write(
    `\n${results.map((result) => line({ ...result, note: result.failed ? result.note : '' })).join('')}`,
  );
  process.stdout.write(
    `${results.length - failed} passed, ${failed} failed, ${(ms / 1000).toFixed(0)} s in all\n`,
  );
}

await main();
// What a stopped guest was asked for, and will never answer, must not hold the program.
process.exit();
