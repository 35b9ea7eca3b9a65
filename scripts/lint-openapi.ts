import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openApiDocument } from '~/server/http/openapi';
import { version } from '../package.json';

/**
 * npm run lint:api: the OpenAPI document as Redocly and Spectral read it, with their recommended rules. Ends
 * with 1 for an error. On demand: the two bring several hundred packages, which nothing else needs.
 */
const LINTERS = [
  ['@redocly/cli@2.77.0', 'lint', 'openapi.json', '--extends', 'recommended'],
  ['@stoplight/spectral-cli@6.16.3', 'lint', 'openapi.json', '--fail-severity', 'error'],
] as const;

const dir = mkdtempSync(join(tmpdir(), 'openapi-'));
try {
  writeFileSync(join(dir, 'openapi.json'), JSON.stringify(openApiDocument(version), null, 2));
  writeFileSync(join(dir, '.spectral.yaml'), 'extends: ["spectral:oas"]\n');
  for (const [name, ...args] of LINTERS) {
    process.stdout.write(`== ${name}\n`);
    const { status } = spawnSync('npx', ['--yes', name, ...args], { cwd: dir, stdio: 'inherit' });
    if (status !== 0) process.exitCode = 1;
  }
} finally {
  rmSync(dir, { recursive: true, force: true });
}
