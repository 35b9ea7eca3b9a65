import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { startAppliance } from '~/lab/appliance';

const HELP = `npm run schemathesis [-- options of "schemathesis run"]

Lets schemathesis send what the OpenAPI document of the daemon allows, and what it does not, to the built daemon on a private MariaDB, a
simulated CloudStack and guest, and real export servers. Ends with its exit code. SCHEMATHESIS names the program; without it the one on
the PATH is used (python3 -m venv v && v/bin/pip install schemathesis; made with 4.32).
`;

const SETTINGS = fileURLToPath(new URL('./schemathesis.toml', import.meta.url));
/** Streams do not end by themselves, and the checks of schemathesis wait for the whole answer. */
const STREAMS = ['/api/v1/events', '/api/v1/operations/{id}/events'];

const args = process.argv.slice(2);
if (args.includes('--help')) {
  process.stdout.write(HELP);
  process.exit(0);
}
const lab = await startAppliance();
const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => interrupted.abort());
try {
  const daemon = await lab.startDaemon();
  const child = spawn(
    process.env.SCHEMATHESIS ?? 'schemathesis',
    [
      `--config-file=${SETTINGS}`,
      'run',
      `${daemon.url}/api/v1/openapi.json`,
      '--checks=all',
      '--continue-on-failure',
      ...STREAMS.map((path) => `--exclude-path=${path}`),
      ...args,
    ],
    { stdio: 'inherit', cwd: lab.dir, signal: interrupted.signal },
  );
  const [code] = await once(child, 'exit');
  process.exitCode = code ?? 1;
} finally {
  await lab.close();
}
