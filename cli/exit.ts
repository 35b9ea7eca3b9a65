/** Exit codes, as in the manual. */
export const EXIT = {
  OK: 0,
  /** A bug in volumectl itself, or no place for what it prints. */
  SOFTWARE: 1,
  USAGE: 2,
  FAILED: 3,
  TIMEOUT: 4,
  UNREACHABLE: 5,
  NOT_KNOWN: 6,
  INTERRUPTED: 130,
} as const;

export const EXIT_MEANINGS: readonly (readonly [code: number, meaning: string])[] = [
  [EXIT.OK, 'done; with --wait: the operation has completed'],
  [EXIT.USAGE, 'the command line is wrong, or a value in it'],
  [EXIT.FAILED, 'the operation has failed or was cancelled, the daemon refused, or a check found a problem'],
  [EXIT.TIMEOUT, 'the time given by --timeout was over; an accepted operation goes on by itself'],
  [EXIT.UNREACHABLE, 'the daemon cannot be reached, or does not take requests now'],
  [
    EXIT.NOT_KNOWN,
    'something is not known: a sync could not look, a list may lack volumes, or one cannot be explained in full; nothing was concluded',
  ],
  [EXIT.SOFTWARE, 'a mistake in volumectl itself, or its output cannot be written'],
];

/** Ends the command with this exit code. */
export class Failure extends Error {
  override readonly name = 'Failure';
  constructor(
    readonly code: number,
    message: string,
    readonly fix?: string,
  ) {
    super(message);
  }
}

/** The command line is wrong. `fix` says what to type instead. */
export class UsageError extends Failure {
  constructor(message: string, fix?: string) {
    super(EXIT.USAGE, message, fix);
  }
}
