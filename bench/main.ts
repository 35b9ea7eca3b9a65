import { programOptions } from '~/lab/program-options';
import { Bench, type Figure } from './bench';
import { save, toJson, toTables } from './report';
import { selected, suites } from './suites';

const list = suites
  .map(({ name, about, onDemand }) => `  ${name.padEnd(12)} ${about}${onDemand ? ' (only when named)' : ''}`)
  .join('\n');

const HELP = `npm run bench [-- options]

Measures the built daemon on a private MariaDB with default durability.

  --only <names>  names of suites, separated by commas
  --quick         fewer rows and rounds: shows that it runs; do not trust the figures
  --json          print the figures as JSON instead of a table
  --save          keep the figures in bench/baseline.json, which later runs are compared with
  --help          this text

Suites:
${list}
`;

const options = programOptions(HELP, {
  only: { type: 'string' },
  quick: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  save: { type: 'boolean', default: false },
});
const figures: Figure[] = [];
for (const suite of selected(options.only)) {
  const bench = new Bench(suite.name, options.quick);
  await suite.run(bench);
  figures.push(...bench.figures);
}
process.stdout.write(options.json ? toJson(figures) : toTables(figures));
if (options.save) save(figures);
