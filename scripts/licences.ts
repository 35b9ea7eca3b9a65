import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { NitroModule } from 'nitropack/types';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** The licences of the packages that are part of the server's bundle; others bring their own. */
export const licences: NitroModule = {
  name: 'licences',
  setup(nitro) {
    nitro.hooks.hook('compiled', () => keepLicences(nitro.options.output.serverDir));
  },
};

function keepLicences(serverDir: string): void {
  const kept = join(serverDir, 'licences');
  mkdirSync(kept, { recursive: true });
  const { dependencies }: { dependencies: object } = JSON.parse(
    readFileSync(join(ROOT, 'package.json'), 'utf8'),
  );
  for (const name of Object.keys(dependencies)) {
    if (existsSync(join(serverDir, 'node_modules', name))) continue;
    const folder = join(ROOT, 'node_modules', name);
    for (const file of readdirSync(folder).filter((entry) => /^licen[cs]e/i.test(entry)))
      copyFileSync(join(folder, file), join(kept, `${name.replace('/', '-')}-${file}`));
  }
}
