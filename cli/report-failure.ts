import type { Args } from './arguments';
import { ApiError, ConnectionError, TimeoutError, TokenFileError } from './client/errors';
import { EXIT, Failure, UsageError } from './exit';
import { paint, visible, wantsColor } from './output/text';
import { PROGRAM } from './tree';

/** The command that failed. */
interface Failed {
  /** `volumectl volume attach` */
  readonly command: string;
  readonly args: Args;
  readonly signal: AbortSignal;
}

interface Report {
  readonly code: number;
  readonly message: string;
  readonly fixes: readonly string[];
}

/** Reports on the error output what went wrong and how to fix it. Returns the exit code. */
export function reportFailure(error: unknown, failed: Failed): number {
  if (failed.signal.aborted) return EXIT.INTERRUPTED;
  const { code, message, fixes } = reportOf(error, failed);
  const color = wantsColor(process.stderr, undefined);
  process.stderr.write(`${paint('bad', `${PROGRAM}: ${visibleLines(message)}`, color)}\n`);
  for (const fix of fixes) process.stderr.write(`  ${visible(fix)}\n`);
  return code;
}

/** What another program said may have several lines. */
function visibleLines(text: string): string {
  return text.split('\n').map(visible).join('\n');
}

function reportOf(error: unknown, { command, args }: Failed): Report {
  const seeHelp = `See: ${command} --help`;
  if (error instanceof Failure) {
    const fixes = error.fix === undefined ? [] : [error.fix];
    if (error instanceof UsageError) fixes.push(seeHelp);
    return { code: error.code, message: error.message, fixes };
  }
  if (error instanceof ApiError && error.fields.length > 0) {
    const named = error.fields.map(({ field, message }) => `${argumentOf(field, args)} ${message}`);
    return { code: EXIT.USAGE, message: visible(named.join('; ')), fixes: [seeHelp] };
  }
  if (error instanceof ApiError) return refusal(error);
  if (error instanceof TimeoutError) return { code: EXIT.TIMEOUT, message: error.message, fixes: [] };
  if (error instanceof ConnectionError)
    return {
      code: EXIT.UNREACHABLE,
      message: error.message,
      fixes: [
        'Is the daemon running? systemctl status volume-daemon',
        'Does it listen elsewhere? --url, --socket, or VOLUMECTL_URL',
      ],
    };
  if (error instanceof TokenFileError)
    return { code: EXIT.UNREACHABLE, message: error.message, fixes: [`fix: ${NAME_A_TOKEN}`] };
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { code: EXIT.SOFTWARE, message: `a mistake in ${PROGRAM} itself: ${text}`, fixes: [] };
}

/** How that is done here; what the daemon says is for those who write the request themselves. */
const NAME_A_TOKEN =
  'name the file of a token that is not revoked with --token-file or VOLUMECTL_TOKEN_FILE; volumectl token create makes one';

/** The message, code, fix and details of the daemon. */
function refusal({ problem, notReady }: ApiError): Report {
  const details = problem.details === undefined ? [] : [`details: ${JSON.stringify(problem.details)}`];
  const retry = notReady ? ['It is there, but takes no requests now; try again.'] : [];
  return {
    code: notReady ? EXIT.UNREACHABLE : EXIT.FAILED,
    // One line: a name in it must not begin another.
    message: visible(`${problem.detail} (${problem.code})`),
    fixes: [`fix: ${problem.code === 'UNAUTHORIZED' ? NAME_A_TOKEN : problem.fix}`, ...details, ...retry],
  };
}

/** A field of the API under the name it has on the command line. */
function argumentOf(field: string, args: Args): string {
  const found = Object.entries(args).find(([, arg]) => arg.field === field.split('.')[0]);
  if (!found) return field;
  return found[1].type === 'positional' ? `<${found[0]}>` : `--${found[0]}`;
}
