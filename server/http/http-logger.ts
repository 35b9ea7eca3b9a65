import { createLogger } from '../core/log/create-logger';
import type { Logger } from '../core/log/logger';
import { createRedactor } from '../core/redaction';

let current: Logger | null = null;

/** The plugin hands over the daemon's logger. */
export function setHttpLogger(logger: Logger): void {
  current = logger;
}

/** Where the HTTP layer logs unexpected errors: as JSON to stderr until the daemon has a logger. */
export function httpLogger(): Logger {
  current ??= createLogger({
    level: 'info',
    format: 'json',
    redactor: createRedactor(),
    write: (line) => process.stderr.write(`${line}\n`),
  });
  return current;
}
