// npm run test:appliance: sets up what is missing, then boots a guest and runs the scenarios
// (test/appliance/main.ts).
import {
  APPLIANCE_PROGRAMS,
  build,
  checkNode,
  installModules,
  installPackages,
  runTypeScript,
} from './setup.mjs';

const args = process.argv.slice(2);
checkNode();
installModules();
if (!args.includes('--help') && !args.includes('--list')) {
  installPackages(APPLIANCE_PROGRAMS);
  build();
}
await runTypeScript('test/appliance/main.ts', args);
