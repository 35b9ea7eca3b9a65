import { copyFile, mkdir, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import type { NitroModule } from 'nitropack/types';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const require = createRequire(import.meta.url);

/** The path of the static files. They contain no data and need no token. */
const BASE = '/ui';

const HEADERS = {
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  // Browsers revalidate every file (304 when unchanged), so that no page mixes files of two versions.
  'Cache-Control': 'no-cache',
};

/**
 * Builds the dashboard and the API document, and makes Nitro serve them as public assets: our TypeScript as
 * plain files (with uPlot, which draws the charts), and the standalone file of @scalar/api-reference. Nothing
 * is downloaded, at build or run time.
 */
export const dashboard: NitroModule = {
  name: 'dashboard',
  async setup(nitro) {
    const out = join(nitro.options.buildDir, 'ui');
    await rm(out, { recursive: true, force: true });
    await mkdir(out, { recursive: true });
    await build({
      entryPoints: {
        dashboard: join(HERE, 'src/main.ts'),
        volumes: join(HERE, 'src/volumes.ts'),
        volume: join(HERE, 'src/volume.ts'),
        operation: join(HERE, 'src/operation.ts'),
        docs: join(HERE, 'src/docs.ts'),
      },
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
    await copyFile(require.resolve('uplot/dist/uPlot.min.css'), join(out, 'uplot.css'));
    nitro.options.publicAssets.push({ dir: out, baseURL: BASE, fallthrough: true, maxAge: 0 });
    nitro.options.routeRules[`${BASE}/**`] = { headers: HEADERS };
  },
};
