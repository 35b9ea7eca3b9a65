import type { Random } from '~/server/core/clock';

/** The one domain that everybody lives in. */
export const DOMAIN_ID = '33333333-3333-4333-8333-333333333333';

/** `project`: the account that owns what belongs to a project; nobody logs in as it. */
export interface Account {
  readonly id: string;
  readonly internalId: number;
  readonly name: string;
  readonly role: 'root' | 'user' | 'project';
  readonly userId: string;
  /** Of a project's account. */
  readonly project: { readonly id: string; readonly members: readonly string[] } | null;
}

const account = (number: number, name: string, role: Account['role']): Account => ({
  id: `1111111${number}-1111-4111-8111-111111111111`,
  internalId: number,
  name,
  role,
  userId: `2222222${number}-2222-4222-8222-222222222222`,
  project: null,
});

/**
 * Who there is: a root administrator and two users, each with a key of its own, and the
 * projects that were made.
 */
export class Accounts {
  readonly all: Account[] = [
    account(2, 'admin', 'root'),
    account(3, 'plain', 'user'),
    account(4, 'other', 'user'),
  ];

  constructor(private readonly random: Random) {}

  /** By name or id. Throws Error for anybody else: a mistake of the caller, not of a client. */
  require(nameOrId: string): Account {
    const found = this.find(nameOrId);
    if (!found) throw new Error(`there is no account "${nameOrId}"`);
    return found;
  }

  find(nameOrId: string): Account | undefined {
    return this.all.find(({ id, name }) => id === nameOrId || name === nameOrId);
  }

  ofProject(projectId: string): Account | undefined {
    return this.all.find(({ project }) => project?.id === projectId.toLowerCase());
  }

  /** A project with these accounts as members. Returns the account that owns what is made in it. */
  addProject(name: string, members: readonly string[]): Account {
    const ids = members.map((member) => this.require(member).id);
    const project: Account = {
      id: this.random.uuid(),
      internalId: this.all.length + 2,
      name,
      role: 'project',
      userId: ids[0] ?? '',
      project: { id: this.random.uuid(), members: ids },
    };
    this.all.push(project);
    return project;
  }
}

/** As error texts name an account. */
export function accountText({ name, internalId, id }: Account): string {
  return `Account [{"accountName":"${name}","id":${internalId},"uuid":"${id}"}]`;
}
