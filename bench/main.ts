import { programOptions, usageError } from '~/lab/program-options';
import { Bench, type Figure } from './bench';
import { save, toJson, toTables } from './report';
import { selected, suites } from './suites';
import { besidePeer } from './suites/peer';

const list = suites
  .map(({ name, about, onDemand }) => `  ${name.padEnd(12)} ${about}${onDemand ? ' (only when named)' : ''}`)
  .join('\n');

const HELP = `npm run bench [-- options]

Measures the built daemon on a private MariaDB with default durability.

  --only <names>  names of suites, separated by commas
  --quick         fewer rows and rounds: shows that it runs; do not trust the figures
  --json          print the figures as JSON instead of a table
  --peer <command>  instead of the suites: our daemon beside another one that speaks the API. The command is run by
                  the shell on the same database and simulated CloudStack, in turn with ours; {port} and {dsn}
                  in it are filled in, and its environment has PORT, HOST, DATABASE_DSN and BENCH_CLOUDSTACK_*
  --peer-url <url>  where it answers, if not at http://127.0.0.1:{port}
  --save          keep the figures in bench/baseline.json, which later runs are compared with
  --help          this text

Suites:
${list}
`;

const options = programOptions(HELP, {
  only: { type: 'string' },
  quick: { type: 'boolean', default: false },
  peer: { type: 'string' },
  'peer-url': { type: 'string', default: 'http://127.0.0.1:{port}' },
  json: { type: 'boolean', default: false },
  save: { type: 'boolean', default: false },
});
const figures: Figure[] = [];
const { peer } = options;
if (peer !== undefined && (options.only !== undefined || options.save))
  usageError('--peer runs alone, and its figures are not kept');
const chosen =
  peer === undefined ? selected(options.only) : [besidePeer({ command: peer, url: options['peer-url'] })];
for (const suite of chosen) {
  const bench = new Bench(suite.name, options.quick);
  await suite.run(bench);
  figures.push(...bench.figures);
}
process.stdout.write(options.json ? toJson(figures) : toTables(figures));
if (options.save) save(figures);
