import { defineCommand, runMain } from 'citty';
import { Bench, type Figure } from './bench';
import { save, toJson, toTables } from './report';
import { selected, suites } from './suites';

const list = suites
  .map(({ name, about, onDemand }) => `  ${name.padEnd(12)} ${about}${onDemand ? ' (only when named)' : ''}`)
  .join('\n');

const command = defineCommand({
  meta: {
    name: 'npm run bench --',
    description: `Measures the built daemon on a private MariaDB with default durability. Suites:\n${list}`,
  },
  args: {
    only: {
      type: 'string',
      description: 'Names of suites, separated by commas',
      valueHint: 'accept,queries',
    },
    quick: {
      type: 'boolean',
      description: 'Fewer rows and rounds: shows that it runs; do not trust the figures',
    },
    json: { type: 'boolean', description: 'Print the figures as JSON instead of a table' },
    save: {
      type: 'boolean',
      description: 'Keep the figures in bench/baseline.json, which later runs are compared with',
    },
  },
  async run({ args }) {
    const figures: Figure[] = [];
    for (const suite of selected(args.only)) {
      const bench = new Bench(suite.name, args.quick ?? false);
      await suite.run(bench);
      figures.push(...bench.figures);
    }
    process.stdout.write(args.json ? toJson(figures) : toTables(figures));
    if (args.save) save(figures);
  },
});

await runMain(command);
