import { copyFile, mkdir, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import type { NitroModule } from 'nitropack/types';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const require = createRequire(import.meta.url);

/** Below this path the server hands out files, the same to everybody: they hold no data. */
const BASE = '/ui';

const HEADERS = {
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  // Always asked for again, answered with 304: after an update nobody sees a page made of two versions.
  'Cache-Control': 'no-cache',
};

/**
 * Builds the pages for people (dashboard, API document) and has Nitro serve them as public assets: our own TypeScript as plain
 * files, and the one file of @scalar/api-reference that runs by itself. Nothing is fetched from anywhere, at build or run time.
 */
export const dashboard: NitroModule = {
  name: 'dashboard',
  async setup(nitro) {
    const out = join(nitro.options.buildDir, 'ui');
    await rm(out, { recursive: true, force: true });
    await mkdir(out, { recursive: true });
    await build({
      entryPoints: { dashboard: join(HERE, 'src/main.ts'), docs: join(HERE, 'src/docs.ts') },
      outdir: out,
      bundle: true,
      format: 'esm',
      target: ['es2022'],
      legalComments: 'none',
      logLevel: 'warning',
    });
    for (const file of ['dashboard.css', 'docs.css', 'icon.svg'])
      await copyFile(join(HERE, file), join(out, file));
    await copyFile(
      require.resolve('@scalar/api-reference').replace(/dist[\\/].*$/, 'dist/browser/standalone.js'),
      join(out, 'api-reference.js'),
    );
    nitro.options.publicAssets.push({ dir: out, baseURL: BASE, fallthrough: true, maxAge: 0 });
    nitro.options.routeRules[`${BASE}/**`] = { headers: HEADERS };
  },
};
