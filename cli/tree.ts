import type { Noun, Verb } from './command';
import { adoptNoun } from './commands/adopt';
import { applianceNoun } from './commands/appliance';
import { checkNoun } from './commands/check';
import { completionNoun } from './commands/completion';
import { deviceNoun } from './commands/device';
import { eventsNoun } from './commands/events';
import { exportNoun } from './commands/export';
import { operationNoun } from './commands/operation';
import { healthNoun, syncNoun, taskNoun, vmNoun } from './commands/service';
import { setupNoun } from './commands/setup';
import { snapshotNoun } from './commands/snapshot';
import { tokenNoun } from './commands/token';
import { volumeNoun } from './commands/volume';

export const PROGRAM = 'volumectl';
export const PURPOSE = 'asks the Volume Management Daemon of this appliance, and tells it what to do';

/** Every command. The parser, the help, the manual and the completions are derived from it. */
export const NOUNS: readonly Noun[] = [
  volumeNoun,
  snapshotNoun,
  deviceNoun,
  operationNoun,
  exportNoun,
  vmNoun,
  healthNoun,
  syncNoun,
  taskNoun,
  setupNoun,
  adoptNoun,
  checkNoun,
  eventsNoun,
  tokenNoun,
  applianceNoun,
  completionNoun(() => NOUNS),
];

export function findNoun(word: string): Noun | undefined {
  return NOUNS.find(({ name, alias }) => name === word || alias === word);
}

/** The verb of a noun that is a command on its own (`volumectl health`). */
export function loneVerb(noun: Noun): Verb | undefined {
  return noun.verbs.find(({ name }) => name === '');
}

/** `volumectl volume attach`. */
export function fullName(noun: Noun, verb: Verb): string {
  return [PROGRAM, noun.name, verb.name].filter((word) => word !== '').join(' ');
}

/** The examples of a command as whole command lines. */
export function exampleLines(noun: Noun, verb: Verb): { readonly line: string; readonly what: string }[] {
  const name = fullName(noun, verb);
  return verb.examples.map(({ args, what }) => ({ line: args === '' ? name : `${name} ${args}`, what }));
}
