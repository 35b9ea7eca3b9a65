import { MUTANTS } from './test/simulation/mutants.ts';
import { hunt, verdictText } from './test/simulation/plant.ts';

const [count, from, ...names] = process.argv.slice(2);
for (const m of MUTANTS)
  if (names.length === 0 || names.includes(m.name))
    process.stdout.write(
      verdictText(await hunt(m, { from: Number(from), count: Number(count), processes: 2 })),
    );
