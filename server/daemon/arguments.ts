import { nearest } from '../core/nearest';
import { VERSION } from '../core/version';
import type { Variable } from './configuration/variable';
import { VARIABLES } from './configuration/variables';

/** What the program does instead of serving, and ends. */
const ERRANDS = {
  '--check-config': 'print the configuration that is in force, secrets masked',
  '--adopt-plan': 'print what taking over a database of the old daemon will do (volumectl adopt --plan)',
  '--setup': 'make what is missing of a new installation (volumectl setup)',
} as const;

export type Errand = keyof typeof ERRANDS;

const TEXTS = { '--help': 'print this text', '--version': 'print the version' } as const;
const ALIASES: ReadonlyMap<string, string> = new Map([
  ['-h', '--help'],
  ['-V', '--version'],
]);

/** What the command line asks for: to serve (`errand` null), to run an errand, or to print and end. */
export type Asked =
  | { readonly kind: 'run'; readonly errand: Errand | null }
  | { readonly kind: 'print'; readonly text: string }
  | { readonly kind: 'mistake'; readonly text: string };

/**
 * The arguments of the daemon: none, or one. Settings are environment variables, and whoever gives one as an
 * argument must not believe that it has an effect. Pure.
 *
 * @example
 * readArguments(['--check-config']); // { kind: 'run', errand: '--check-config' }
 */
export function readArguments(args: readonly string[]): Asked {
  const [first, second] = args;
  if (first === undefined) return { kind: 'run', errand: null };
  const name = ALIASES.get(first) ?? first;
  if (!isErrand(name) && !isText(name)) return mistake(`unknown argument ${first}`, name);
  if (second !== undefined) return mistake(`${first} stands alone, without ${second}`);
  if (isErrand(name)) return { kind: 'run', errand: name };
  return { kind: 'print', text: name === '--version' ? `volume-daemon ${VERSION}\n` : helpText() };
}

function isErrand(name: string): name is Errand {
  return Object.hasOwn(ERRANDS, name);
}

function isText(name: string): name is keyof typeof TEXTS {
  return Object.hasOwn(TEXTS, name);
}

function mistake(what: string, name = ''): Asked {
  const meant = nearest(name, Object.keys({ ...ERRANDS, ...TEXTS }));
  const hint = meant === null ? 'settings are environment variables, see --help' : `did you mean ${meant}?`;
  return { kind: 'mistake', text: `volume-daemon: ${what}; ${hint}\n` };
}

function helpText(): string {
  const options = Object.entries({ ...ERRANDS, ...TEXTS }).map(
    ([name, about]) => `  ${name.padEnd(16)} ${about}`,
  );
  const variables = Object.values<Variable<unknown>>(VARIABLES).map(({ name, fallback, secret }) =>
    `  ${name.padEnd(30)} ${secret ? '(secret)' : (fallback ?? '')}`.trimEnd(),
  );
  return `volume-daemon ${VERSION}: the one owner of CloudStack volumes, Linux devices and NBD exports on an appliance

Usage: node index.mjs [one option]

Without an option it serves until SIGTERM, SIGINT or SIGHUP. volumectl is the program to work with it.

${options.join('\n')}

Settings are environment variables; with the package they are in /etc/default/volume-daemon. With their defaults:

${variables.join('\n')}

What each means: docs/reference/configuration.md. How to install it: docs/guides/install.md. Every endpoint: GET /docs
of the running daemon.
`;
}
