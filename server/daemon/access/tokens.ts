import { createHash, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { LIMITS } from '../../core/limits';

/**
 * What a token may do; each role includes those before it. `read`: everything that changes
 * nothing. `operate`: volumes, exports, sync. `admin`: also what no rule can judge (retry and
 * abandon held operations).
 */
export const ROLES = ['read', 'operate', 'admin'] as const;
export type Role = (typeof ROLES)[number];

export function includesRole(has: Role, needed: Role): boolean {
  return ROLES.indexOf(has) >= ROLES.indexOf(needed);
}

/** Who a request comes from. */
export interface Identity {
  /** The name of the token, or one of RESERVED_NAMES. */
  readonly name: string;
  readonly role: Role;
}

/** Where no token is needed. */
export const ANYBODY: Identity = { name: 'anonymous', role: 'admin' };
/** Who has the token of TOKEN_FILE. */
export const SINGLE_TOKEN: Identity = { name: 'token-file', role: 'admin' };
const RESERVED_NAMES: readonly string[] = [ANYBODY.name, SINGLE_TOKEN.name];

const NAME = new RegExp(`^[a-z0-9][a-z0-9._-]{0,${LIMITS.TOKEN_NAME_CHARACTERS - 1}}$`);

/** Why this is no name for a token, or null. */
export function tokenNameProblem(name: string): string | null {
  if (RESERVED_NAMES.includes(name)) return `${name} is a name that the daemon uses itself`;
  if (NAME.test(name)) return null;
  return `a name has 1 to ${LIMITS.TOKEN_NAME_CHARACTERS} characters of a-z, 0-9, dot, underscore and hyphen, and begins with a letter or digit`;
}

/** One named token, as it is stored: by what it can be recognised, and not the token. */
export interface StoredToken extends Identity {
  /** SHA-256 of the token, in hex. It has 256 random bits: nothing slower would protect it better. */
  readonly sha256: string;
  readonly createdAt: string;
}

const stored = z
  .object({
    name: z.string().superRefine((name, { addIssue }) => {
      const problem = tokenNameProblem(name);
      if (problem !== null) addIssue({ code: 'custom', message: problem });
    }),
    role: z.enum(ROLES),
    sha256: z.string().regex(/^[0-9a-f]{64}$/, 'must be the SHA-256 of a token, in hex'),
    created_at: z.iso.datetime(),
  })
  .transform(({ created_at: createdAt, ...token }): StoredToken => ({ ...token, createdAt }));

const file = z.object({
  tokens: z
    .array(stored)
    .max(LIMITS.TOKENS_MAX)
    .refine((tokens) => new Set(tokens.map(({ name }) => name)).size === tokens.length, 'has a name twice'),
});

/** The tokens of a file. Throws an Error that says what is wrong, and never quotes the file. */
export function parseTokens(text: string): readonly StoredToken[] {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new Error('it is not JSON, or not whole');
  }
  const result = file.safeParse(json);
  if (result.success) return result.data.tokens;
  const [issue] = result.error.issues;
  throw new Error(`${issue?.path.join('.') || 'it'}: ${issue?.message ?? 'is not valid'}`);
}

export function tokensText(tokens: readonly StoredToken[]): string {
  const rows = tokens.map(({ createdAt: created_at, ...token }) => ({ ...token, created_at }));
  return `${JSON.stringify({ tokens: rows }, null, 2)}\n`;
}

const TOKEN_BYTES = 32;

/** A new token. Its beginning is known, so that it is recognised where it leaks. */
export function newToken(): string {
  return `vmd_${randomBytes(TOKEN_BYTES).toString('base64url')}`;
}

/** In hex. */
export function digestOf(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}
