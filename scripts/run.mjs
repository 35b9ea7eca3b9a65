// Runs a TypeScript program after the set-up it needs: node scripts/run.mjs bench/main.ts --help
import { APPLIANCE_PROGRAMS, LAB_PROGRAMS, prepare, runTypeScript } from './setup.mjs';

const [file, ...args] = process.argv.slice(2);
const programs = file.startsWith('test/appliance/') ? APPLIANCE_PROGRAMS : LAB_PROGRAMS;
prepare(args.includes('--help') || args.includes('--list') ? null : programs);
await runTypeScript(file, args);
