import { programOptions, wholeNumber } from '~/lab/program-options';
import { behindHaproxy } from './haproxy';
import { faults, pair, type Report, triple } from './parts';
import { ClusterRig } from './rig';

const HELP = `npm run test:cluster [-- options]

The built daemon on a real Galera cluster of three nodes on this machine (docs/guides/cluster.md). Installs what it
needs: galera-4, mariadb-server-core, rsync, haproxy. Prints its figures; exit code 1 when something is not as it should be.

  --starts <n>      times that three daemons begin at once on an empty schema (default 20)
  --samples <n>     samples of two daemons of one appliance (default 600)
  --operations <n>  operations of three appliances while nodes die (default 3000)
  --no-haproxy      without the recipe of the guide
  --quick           3 starts, 60 samples, 200 operations
  --help            this text
`;

const options = programOptions(HELP, {
  starts: { type: 'string', default: '20' },
  samples: { type: 'string', default: '600' },
  operations: { type: 'string', default: '3000' },
  'no-haproxy': { type: 'boolean', default: false },
  quick: { type: 'boolean', default: false },
});
const sizes = options.quick
  ? { starts: 3, samples: 60, operations: 200 }
  : {
      starts: wholeNumber('starts', options.starts),
      samples: wholeNumber('samples', options.samples),
      operations: wholeNumber('operations', options.operations),
    };
const say = (text: string) => void process.stderr.write(`▸ ${text}\n`);

const rig = await ClusterRig.begin(say);
const parts: (() => Promise<Report | null>)[] = [
  async () => (sizes.starts > 0 ? triple(rig, sizes.starts, say) : null),
  async () => (sizes.samples > 0 ? pair(rig, sizes.samples, say) : null),
  async () => (options['no-haproxy'] ? null : behindHaproxy(rig, say)),
  async () => (sizes.operations > 0 ? faults(rig, sizes.operations, say) : null),
];
try {
  for (const part of parts) {
    const report = await part();
    if (report === null) continue;
    for (const line of report.lines)
      process.stdout.write(`${report.wrong.length === 0 ? '✓' : '✗'} ${line}\n`);
    for (const wrong of report.wrong) process.stdout.write(`  wrong: ${wrong}\n`);
    if (report.wrong.length > 0) process.exitCode = 1;
  }
} finally {
  await rig.close();
}
