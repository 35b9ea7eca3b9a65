import { mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';
import type { Mutant } from './mutants';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/**
 * Runs `work` with the path of ./worker.ts and everything that it imports as one file, which
 * starts in a third of the time; with a fault in it if one is given. Throws when the fault has no
 * place in the code any more.
 */
export async function withWorker<T>(mutant: Mutant | null, work: (worker: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'volume-simulation-'));
  const worker = join(folder, 'worker.mjs');
  try {
    // Packages are not in the file, and are looked for beside it.
    await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    await build({
      entryPoints: [join(ROOT, 'test/simulation/worker.ts')],
      outfile: worker,
      bundle: true,
      packages: 'external',
      platform: 'node',
      format: 'esm',
      target: 'node20.19',
      keepNames: true,
      logLevel: 'silent',
      plugins: mutant === null ? [] : [planting(mutant)],
    });
    return await work(worker);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function planting({ name, file, find, replace }: Mutant): Plugin {
  return {
    name,
    setup({ onLoad }) {
      onLoad({ filter: /\.ts$/ }, async ({ path }) => {
        if (path !== join(ROOT, file)) return;
        const text = await readFile(path, 'utf8');
        if (text.split(find).length !== 2)
          throw new Error(`mutant ${name}: ${file} must contain this exactly once: ${find}`);
        return { contents: text.replace(find, () => replace), loader: 'ts' };
      });
    },
  };
}
