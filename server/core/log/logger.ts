export type LogFields = Readonly<Record<string, unknown>>;

/**
 * What the domain logs with: a *static* message (so that `grep` and alert rules work) and fields. Implemented
 * in ./create-logger.ts; `silentLogger` is for tests that do not look.
 */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

export const silentLogger: Logger = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
};
