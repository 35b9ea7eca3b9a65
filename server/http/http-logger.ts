import type { LogFields, Logger } from '../core/log/logger';

/**
 * Where the HTTP layer logs unexpected errors. The plugin may hand over the daemon's logger; until then (and in tests) one
 * line of JSON goes to stderr.
 */
let current: Logger | null = null;

export function setHttpLogger(logger: Logger | null): void {
  current = logger;
}

export function httpLogger(): Logger {
  return current ?? stderrLogger({});
}

function stderrLogger(base: LogFields): Logger {
  const line =
    (level: string) =>
    (message: string, fields: LogFields = {}) => {
      process.stderr.write(`${JSON.stringify({ level, msg: message, ...base, ...fields })}\n`);
    };
  return {
    debug: () => {},
    info: line('info'),
    warn: line('warn'),
    error: line('error'),
    with: (fields) => stderrLogger({ ...base, ...fields }),
  };
}
