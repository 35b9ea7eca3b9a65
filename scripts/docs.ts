import { readFileSync, writeFileSync } from 'node:fs';
import { configurationDoc, errorsDoc } from './docs-content';

/** npm run docs: writes the documents that are made from code. `--check` only compares (the test does the same). */
const DOCUMENTS = [
  ['docs/configuration.md', configurationDoc()],
  ['docs/errors.md', errorsDoc()],
] as const;

const check = process.argv.includes('--check');
for (const [path, content] of DOCUMENTS) {
  if (!check) writeFileSync(path, content);
  else if (readFileSync(path, 'utf8') !== content) {
    process.stderr.write(`${path} is not what the code says; run npm run docs\n`);
    process.exitCode = 1;
  }
}
