import { type ParseArgsConfig, parseArgs } from 'node:util';

/**
 * The options of a development program (`npm run bench`, `npm run simulate`). `--help` prints the help and
 * ends the program; a mistake is reported and ends it with exit code 2.
 *
 * ```ts
 * const { quick } = programOptions(HELP, { quick: { type: 'boolean', default: false } });
 * ```
 */
export function programOptions<const Options extends NonNullable<ParseArgsConfig['options']>>(
  help: string,
  options: Options,
  args: readonly string[] = process.argv.slice(2),
) {
  if (args.includes('--help')) {
    process.stdout.write(help);
    process.exit(0);
  }
  try {
    return parseArgs({ args: [...args], options, strict: true }).values;
  } catch (error) {
    return usageError(error instanceof Error ? error.message : String(error));
  }
}

/** A whole number of at least 0. */
export function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  return usageError(`--${name} must be a whole number, not ${text}`);
}

export function usageError(message: string): never {
  process.stderr.write(`${message}\nSee --help.\n`);
  process.exit(2);
}
