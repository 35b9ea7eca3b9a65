export type LogFields = Readonly<Record<string, unknown>>;

/**
 * What the domain logs with: a *static* message (so that `grep` and alert rules work) and fields. Implemented
 * on consola in ./logging.ts; `silentLogger` for tests that do not look.
 */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A logger that adds these fields to every line. */
  with(fields: LogFields): Logger;
}

export const silentLogger: Logger = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  with: () => silentLogger,
};
