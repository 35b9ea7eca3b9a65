import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import type { NitroModule } from 'nitropack/types';

const MAIN = fileURLToPath(new URL('../server/exports/nbdkit/holder-main.ts', import.meta.url));

/** Builds the program that accepts the clients of nbdkit as one file that only needs Node. */
export async function buildHolder(outfile: string): Promise<void> {
  await build({
    entryPoints: [MAIN],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: ['node20.19'],
    legalComments: 'none',
    logLevel: 'warning',
  });
}

/** The daemon starts it, or systemd does. */
export const nbdHolder: NitroModule = {
  name: 'nbd-holder',
  setup(nitro) {
    nitro.hooks.hook('compiled', () =>
      buildHolder(join(nitro.options.output.dir, 'nbd-holder', 'nbd-holder.mjs')),
    );
  },
};
