import { readFileSync, writeFileSync } from 'node:fs';
import { DOCUMENTS } from './docs-content';

/** npm run docs: writes the generated documents. `--check` only compares, as a test does. */
const check = process.argv.includes('--check');
for (const [path, content] of DOCUMENTS) {
  if (!check) writeFileSync(path, content());
  else if (readFileSync(path, 'utf8') !== content()) {
    process.stderr.write(`${path} is not what the code says; run npm run docs\n`);
    process.exitCode = 1;
  }
}
