import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import type { NitroModule } from 'nitropack/types';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Bundled CommonJS packages load Node's own modules with `require`, which a module does not have. */
const BANNER = `#!/usr/bin/env node
import { createRequire } from 'node:module';
const require = createRequire(import.meta.url);`;

/** Builds volumectl as one file that only needs Node, and its manual page and completions. */
export const commandLine: NitroModule = {
  name: 'volumectl',
  setup(nitro) {
    nitro.hooks.hook('compiled', async () => {
      if (nitro.options.dev) return;
      const out = join(nitro.options.output.dir, 'cli');
      await build({
        entryPoints: [join(ROOT, 'cli/main.ts')],
        outfile: join(out, 'volumectl.mjs'),
        alias: { '~': ROOT.replace(/\/$/, '') },
        bundle: true,
        platform: 'node',
        format: 'esm',
        target: ['node20.19'],
        banner: { js: BANNER },
        legalComments: 'none',
        logLevel: 'warning',
      });
      await cp(join(ROOT, 'packaging/cli'), out, { recursive: true });
    });
  },
};
