import { FakeTime, faketimeLibrary } from '~/lab/fake-time';
import { programOptions } from '~/lab/program-options';
import { messageOf } from '~/server/core/errors';
import { type Clocks, Scene, STEPS } from './scene';

const HELP = `npm run clocks [-- options]

The built daemon and a real MariaDB, each with a wall clock of its own that is set while they run (libfaketime, which is
installed when it is not there; the clock of this machine stays as it is). In every case: nothing is deleted, no
Idempotency-Key is forgotten, looks and syncs go on, what is under way ends, and log and health say what happened. About 5 minutes.

  --only <who>   daemon, database or both
  --help         this text
`;

const WHO: Readonly<Record<string, readonly (keyof Clocks)[]>> = {
  daemon: ['daemon'],
  database: ['database'],
  both: ['daemon', 'database'],
};

const { only } = programOptions(HELP, { only: { type: 'string' } });

function library(): string | null {
  try {
    return faketimeLibrary();
  } catch (error) {
    process.stderr.write(`Not run: ${messageOf(error)}\n`);
    return null;
  }
}

function print(who: string, what: string, wrong: readonly string[]): void {
  if (wrong.length > 0) process.exitCode = 1;
  process.stdout.write(
    `${wrong.length === 0 ? '✓' : '✗'} ${who.padEnd(9)} ${what.padEnd(10)} ${wrong.join('; ')}\n`,
  );
}

const path = library();
if (path === null) process.exit(2);
const clocks: Clocks = { daemon: new FakeTime(path), database: new FakeTime(path) };
const scene = await Scene.begin(clocks);
try {
  for (const [who, of] of Object.entries(WHO)) {
    if (only !== undefined && only !== who) continue;
    for (const [what, byMs] of STEPS) print(who, what, await scene.step(of, byMs));
  }
  print('control', 'agreeing', await scene.control());
} finally {
  await scene.close();
  clocks.daemon.remove();
  clocks.database.remove();
}
