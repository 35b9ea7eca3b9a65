import { CHANGES } from './changes';
import { LISTS, listApis } from './lists';
import type { Command } from './params';

/** Answers by command name. Shapes, types and texts as measured on the real server. */
export const COMMANDS: ReadonlyMap<string, Command> = new Map<string, Command>([
  ...LISTS,
  ...CHANGES,
  ['listApis', (_model, params, caller) => listApis(COMMANDS.keys(), params, caller)],
]);
