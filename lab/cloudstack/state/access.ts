import type { Conditions } from '../conditions';
import type { ApiError, Snapshot, Vm, Volume } from '../records';
import type { Account, Accounts } from './accounts';
import { badValue, forbidden, noAccess, refused } from './texts';

/** Whose things a list is asked for. */
export interface Scope {
  readonly command: string;
  /** One thing was asked for by its id. */
  readonly byId: boolean;
  readonly listAll: boolean;
  /** `-1` is everything, in projects or not. */
  readonly projectId: string | null;
  /** Name of an account. */
  readonly account: string | null;
}

/** What a client means that only wants to see what there is for it. */
export const LIST_ALL: Scope = {
  command: 'listVolumes',
  byId: false,
  listAll: true,
  projectId: null,
  account: null,
};

interface Owned {
  readonly id: string;
  readonly accountId: string;
}

/** Who sees and who may change what. */
export class Access {
  constructor(
    private readonly accounts: Accounts,
    private readonly conditions: Conditions,
  ) {}

  /**
   * Whether a list shows this. Throws 431 for a project that never was, 531 for one that the
   * caller is no member of.
   */
  sees(caller: Account, thing: Owned, scope: Scope): boolean {
    const owner = this.accounts.require(thing.accountId);
    if (this.hidden(thing, owner) || (!scope.byId && this.conditions.leavesOut(thing.id))) return false;
    if (scope.projectId === '-1') return caller.role === 'root' || this.owns(caller, owner);
    if (scope.projectId !== null) return owner === this.project(scope.command, caller, scope.projectId);
    if (scope.account !== null) return owner.name === scope.account && this.reaches(caller, owner);
    // What belongs to a project is in no list that does not name it, unless an administrator
    // asks for it by its id.
    if (owner.project) return caller.role === 'root' && scope.byId;
    return this.reaches(caller, owner) && (owner === caller || scope.listAll || scope.byId);
  }

  /** Throws 431 for what is removed, 531 for what the caller may not change. */
  allow(caller: Account, thing: Volume | Vm | Snapshot): void {
    if ('removed' in thing && thing.removed) throw gone(thing);
    const owner = this.accounts.require(thing.accountId);
    if (this.hidden(thing, owner)) throw noAccess();
    if (caller.role !== 'root' && !this.owns(caller, owner)) throw noAccess();
  }

  /** Who will own what the caller makes. Throws 431 and 531. */
  ownerFor(
    command: string,
    caller: Account,
    wanted: { readonly account?: string | null; readonly projectId?: string | null },
  ): Account {
    if (wanted.projectId) return this.project(command, caller, wanted.projectId);
    if (!wanted.account) return caller;
    const owner = this.accounts.find(wanted.account);
    if (!owner) throw refused(`Unable to find account ${wanted.account} in domain 1`);
    if (caller.role !== 'root' && owner !== caller) throw noAccess();
    return owner;
  }

  private project(command: string, caller: Account, projectId: string): Account {
    const owner = this.accounts.ofProject(projectId);
    if (!owner) throw badValue(command, 'projectid', projectId);
    if (caller.role !== 'root' && !this.owns(caller, owner))
      throw forbidden(`The account ${caller.name} is no member of the project ${owner.name}`);
    return owner;
  }

  private reaches(caller: Account, owner: Account): boolean {
    return caller.role === 'root' || caller === owner;
  }

  private owns(caller: Account, owner: Account): boolean {
    return caller === owner || (owner.project?.members.includes(caller.id) ?? false);
  }

  private hidden(thing: Owned, owner: Account): boolean {
    return this.conditions.hides(thing.id, owner.id, owner.name);
  }
}

function gone(thing: Volume | Vm): ApiError {
  const type = 'size' in thing ? 'Volume' : 'VirtualMachine';
  return refused(`Unable to find UUID for id [${thing.internalId}] of type [${type}]`);
}
