import { run } from './program';

/**
 * Ends quietly when the reader of the output goes away (`volumectl events | head`), and at once on a second
 * Ctrl-C. Operations that the daemon has accepted continue in any case.
 */
const stop = new AbortController();
let unread = false;
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  unread = true;
  stop.abort();
});
process.stderr.on('error', () => undefined);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    stop.abort();
    process.once(signal, () => process.exit(130));
  });
}

const code = await run(process.argv.slice(2), stop.signal);
// Pipes, files and terminals are written synchronously on Linux, so nothing is lost here.
process.exit(unread && code === 130 ? 0 : code);
