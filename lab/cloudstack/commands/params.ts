import type { CloudModel } from '../model';
import type { Scope } from '../state/access';
import type { Account } from '../state/accounts';
import { missing } from '../state/texts';
import type { Params } from '../wire/paging';

/** Who calls. `denied`: commands that its role lacks beyond what a role lacks anyway. */
export interface Caller {
  readonly account: Account;
  readonly denied: readonly string[];
}

/** Parameters in (names in lower case), the content of the `…response` envelope out. Throws ApiError. */
export type Command = (model: CloudModel, params: Params, caller: Caller) => unknown;

/** Commands that users lack, whether they are simulated or not. */
const ROOT_ONLY: readonly string[] = ['updateVolume', 'listHosts', 'configureSimulator'];

export function isDenied(command: string, { account, denied }: Caller): boolean {
  return denied.includes(command) || (account.role !== 'root' && ROOT_ONLY.includes(command));
}

export function need(command: string, params: Params, name: string): string {
  const value = params.get(name);
  if (value === undefined || value === '') throw missing(command, name);
  return value;
}

/** null for what was not sent. */
export function optional(params: Params, name: string): string | null {
  return params.get(name) ?? null;
}

export function isTrue(params: Params, name: string): boolean {
  return params.get(name)?.toLowerCase() === 'true';
}

/** Whose things a list is asked for. */
export function scopeOf(command: string, params: Params): Scope {
  return {
    command,
    byId: params.has('id') || params.has('ids'),
    listAll: isTrue(params, 'listall'),
    projectId: optional(params, 'projectid'),
    account: optional(params, 'account'),
  };
}

export function is(value: string, wanted: string | undefined): boolean {
  return wanted === undefined || value.toLowerCase() === wanted.toLowerCase();
}

export function contains(value: string, wanted: string | undefined): boolean {
  return wanted === undefined || value.toLowerCase().includes(wanted.toLowerCase());
}
