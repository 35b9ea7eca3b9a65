// Runs a TypeScript program after the set-up it needs: node scripts/run.mjs bench/main.ts --help
import { APPLIANCE_PROGRAMS, LAB_PROGRAMS, prepare, runTypeScript, TEST_PROGRAMS } from './setup.mjs';

const [file, ...args] = process.argv.slice(2);
const programs = programsOf(file);
prepare(args.includes('--help') || args.includes('--list') ? null : programs);
await runTypeScript(file, args);

function programsOf(path) {
  if (path.startsWith('test/appliance/')) return APPLIANCE_PROGRAMS;
  return path.startsWith('test/screenshots/') ? TEST_PROGRAMS : LAB_PROGRAMS;
}
