import type { CallerReply } from '../../../server/http/schemas/service';

export type Role = CallerReply['role'];
export type Values = Readonly<Record<string, string | boolean>>;

export interface Choice {
  readonly value: string;
  readonly text: string;
}

export type Field =
  | {
      readonly kind: 'text';
      readonly name: string;
      readonly label: string;
      readonly value?: string;
      readonly hint?: string;
    }
  | {
      readonly kind: 'number';
      readonly name: string;
      readonly label: string;
      readonly value: string;
      /** Default 1. */
      readonly min?: number;
    }
  | {
      readonly kind: 'check';
      readonly name: string;
      readonly label: string;
      /** At first; default false. */
      readonly checked?: boolean;
    }
  | {
      readonly kind: 'choice';
      readonly name: string;
      readonly label: string;
      readonly choices: readonly Choice[];
    };

/** What was found out before an act: what it would meet, and why it must not be done now (null: it may). */
export interface Look {
  readonly found: readonly string[];
  readonly blocked: string | null;
  /** Why it is not known what would be lost: forbids only what cannot be undone. */
  readonly unsure?: string | null;
  /** Fields that need what was found out; they come after those of the act. */
  readonly fields?: readonly Field[];
}

/** What became of an act. */
export interface Outcome {
  readonly text: string;
  /** Operations that go on by themselves. */
  readonly operations: readonly { readonly id: string; readonly text: string }[];
}

/** Makes an Idempotency-Key; the same name gives the same key as long as the same is asked for. */
export type KeyOf = (name: string) => string;

/** Something that the page does when a person says so: looked at first, then confirmed, then sent. */
export interface Act {
  readonly title: string;
  /** The word on the button. */
  readonly verb: string;
  readonly role: Role;
  /** What will happen, a sentence each. */
  readonly consequences: readonly string[];
  readonly fields?: readonly Field[];
  look?(): Promise<Look>;
  /** What must be typed because these values ask for something that cannot be undone; null: nothing. */
  mustType?(values: Values): string | null;
  send(values: Values, keyOf: KeyOf): Promise<Outcome>;
}

const ROLES: readonly Role[] = ['read', 'operate', 'admin'];

/** May the caller do what needs this role? Nothing while it is not known who it is. */
export function mayAct(caller: Pick<CallerReply, 'role'> | null, needed: Role): boolean {
  return caller !== null && ROLES.indexOf(caller.role) >= ROLES.indexOf(needed);
}

/**
 * Keys of one dialog. What is asked for with other values has other ones; what is asked for again
 * has those that it had.
 */
export class Keys {
  private readonly keys = new Map<string, string>();

  constructor(private readonly make: () => string) {}

  for(values: Values): KeyOf {
    const body = JSON.stringify(values);
    return (name) => {
      const request = `${name} ${body}`;
      const key = this.keys.get(request) ?? this.make();
      this.keys.set(request, key);
      return key;
    };
  }
}

/** 128 random bits in hex. Not randomUUID: browsers offer that to pages of https and localhost only. */
export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `page-${[...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}
