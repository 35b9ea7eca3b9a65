// Runs a TypeScript program of the repository after the set-up it needs: node scripts/run.mjs bench/main.ts
// --help
import { build, checkNode, installModules, installPackages, LAB_PROGRAMS, runTypeScript } from './setup.mjs';

const [file, ...args] = process.argv.slice(2);
checkNode();
installModules();
if (!args.includes('--help')) {
  installPackages(LAB_PROGRAMS);
  build();
}
await runTypeScript(file, args);
