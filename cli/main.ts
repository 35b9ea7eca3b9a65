import { setImmediate as nextTurn } from 'node:timers/promises';
import { EXIT } from './exit';
import { run } from './program';

/**
 * Ends quietly when the reader of the output goes away (`volumectl events | head`), and at once on a second
 * Ctrl-C. Operations that the daemon has accepted continue in any case.
 */
const stop = new AbortController();
let unread = false;
let lost: Error | null = null;
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') unread = true;
  else lost = error;
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
// Pipes, files and terminals are written synchronously on Linux, so nothing is on its way here. That the
// last write has failed (a full disk) is told a turn later: a token that is printed once must not be
// lost with exit code 0.
await nextTurn();
process.exit(endOf(code));

function endOf(code: number): number {
  if (lost === null) return unread && code === EXIT.INTERRUPTED ? EXIT.OK : code;
  process.stderr.write(`volumectl: the output cannot be written: ${lost.message}\n`);
  return EXIT.SOFTWARE;
}
