// Runs a TypeScript program of the repository after the set-up it needs: node scripts/run.mjs bench/main.ts --help
import { build, checkNode, installModules, installPackages, runTypeScript } from './setup.mjs';

const [file, ...args] = process.argv.slice(2);
checkNode();
installModules();
if (!args.includes('--help')) {
  installPackages();
  build();
}
await runTypeScript(file, args);
