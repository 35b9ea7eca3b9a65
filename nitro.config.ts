import { defineNitroConfig } from 'nitropack/config';
import { commandLine } from './cli/build';
import { dashboard } from './dashboard/build';
import { licences } from './scripts/licences';
import { nbdHolder } from './scripts/nbd-holder';

/**
 * The user's design card: file routes under server/routes, tasks and plugins at the top, one Node output.
 * `scanDirs: ["server"]` gives `server/routes` and `server/middleware`; root `tasks/` and `plugins/` are scanned by Nitro itself.
 */
export default defineNitroConfig({
  compatibilityDate: '2026-01-01',
  preset: 'node-server',
  srcDir: '.',
  scanDirs: ['server'],
  imports: false,
  // Nitro's default is ES2019: it would rewrite private fields and optional chaining for engines we do not run on.
  esbuild: { options: { target: 'node20.19' } },
  errorHandler: '~/server/http/error-handler',
  experimental: { tasks: true },
  // Of many small modules: to find and load them took a quarter of the start's processor time.
  externals: { inline: ['kysely', 'zod', 'consola', 'prom-client'] },
  modules: [dashboard, commandLine, nbdHolder, licences],
  // server/middleware/enter.ts does it: Nitro reads a file whole for each client.
  serveStatic: false,
  compressPublicAssets: { gzip: true, brotli: false },
  scheduledTasks: {
    '*/2 * * * * *': ['devices:poll'],
    '*/30 * * * * *': ['operations:sweep'],
    '*/5 * * * * *': ['sync:reconcile'],
    '0 17 * * * *': ['history:prune'],
  },
});
