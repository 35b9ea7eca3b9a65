// npm run demo: sets up what is missing, then shows the main job on real parts (demo/main.ts).
import { build, checkNode, installModules, installPackages, LAB_PROGRAMS, runTypeScript } from './setup.mjs';

checkNode();
installModules();
installPackages(LAB_PROGRAMS);
build();
await runTypeScript('demo/main.ts', process.argv.slice(2));
