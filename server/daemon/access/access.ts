import { timingSafeEqual } from 'node:crypto';
import { bearerTokenIn } from '../../core/bearer-token';
import type { Clock } from '../../core/clock';
import { messageOf } from '../../core/errors';
import { LIMITS } from '../../core/limits';
import type { Logger } from '../../core/log/logger';
import { readRegular } from '../../core/read-regular';
import type { Redactor } from '../../core/redaction';
import type { ComponentHealth } from '../daemon';
import { ANYBODY, digestOf, type Identity, parseTokens, SINGLE_TOKEN, type StoredToken } from './tokens';

/** Who may ask what. */
export interface Access {
  /**
   * Who has this token, or null: nobody. `undefined`: none was sent, which is in order where none is needed.
   *
   * @example
   * const identity = access.identify(bearerOf(request)); // { name: 'prometheus', role: 'read' }
   */
  identify(token: string | undefined): Identity | null;
  health(): ComponentHealth;
}

interface AccessSettings {
  readonly tokenFile: string | null;
  readonly tokensFile: string | null;
}

/**
 * Throws when TOKEN_FILE cannot be read, or holds no token. A list of named tokens that cannot be read lets
 * nobody in until it can, and stops nothing else.
 */
export function openAccess(
  { tokenFile, tokensFile }: AccessSettings,
  parts: { readonly clock: Clock; readonly logger: Logger; readonly redactor: Redactor },
): Access {
  if (tokenFile === null && tokensFile === null) return OPEN;
  const single = tokenFile === null ? null : readSingle(tokenFile);
  if (single !== null) parts.redactor.register(single);
  const named = tokensFile === null ? null : new TokenList(tokensFile, parts.clock, parts.logger);
  const digest = single === null ? null : digestOf(single);
  return {
    identify: (token) => {
      if (token === undefined) return null;
      const given = digestOf(token);
      if (digest !== null && isEqual(given, digest)) return SINGLE_TOKEN;
      return named?.find(given) ?? null;
    },
    health: () => named?.health() ?? { status: 'healthy', message: 'the token of TOKEN_FILE is needed' },
  };
}

/** Everybody may do everything. */
export const OPEN: Access = {
  identify: () => ANYBODY,
  health: () => ({ status: 'disabled', message: 'no token is needed' }),
};

/** Nobody may do anything: until the daemon has been built. */
export const CLOSED: Access = {
  identify: () => null,
  health: () => ({ status: 'unknown', message: 'not looked at yet' }),
};

function readSingle(path: string): string {
  try {
    return bearerTokenIn(readRegular(path, LIMITS.TOKENS_FILE_BYTES), path);
  } catch (error) {
    throw new Error(`TOKEN_FILE cannot be used: ${messageOf(error)}`);
  }
}

/** Digests have one length, so the time reveals nothing about the token. */
function isEqual(given: string, digest: string): boolean {
  return timingSafeEqual(Buffer.from(given, 'hex'), Buffer.from(digest, 'hex'));
}

/**
 * The named tokens of TOKENS_FILE. The file is read again when somebody asks and the last look is a second
 * old: what is revoked ends then. A file that cannot be understood as a whole changes nothing, and is told.
 */
class TokenList {
  private tokens: readonly StoredToken[] | null = null;
  private readAt = 0;
  private problem: string | null = null;
  private text: string | null = null;
  private lookedAt = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly path: string,
    private readonly clock: Clock,
    private readonly logger: Logger,
  ) {
    this.look();
  }

  /** Every token is compared, so that the time does not tell which was close. */
  find(digest: string): Identity | null {
    this.look();
    const [found] = (this.tokens ?? []).filter(({ sha256 }) => isEqual(digest, sha256));
    return found ?? null;
  }

  health(): ComponentHealth {
    this.look();
    const { path, problem, tokens } = this;
    if (problem === null) return { status: 'healthy', message: `${countText(tokens)} of ${path}` };
    if (tokens === null)
      return { status: 'unhealthy', message: `no named token is accepted: ${path}: ${problem}` };
    const since = new Date(this.readAt).toISOString();
    return {
      status: 'degraded',
      message: `${path}: ${problem}; ${countText(tokens)} of ${since} still hold`,
    };
  }

  private look(): void {
    const now = this.clock.monotonic();
    if (now - this.lookedAt < LIMITS.TOKENS_LOOK_MS) return;
    this.lookedAt = now;
    const before = this.problem;
    try {
      const text = readRegular(this.path, LIMITS.TOKENS_FILE_BYTES);
      if (text !== this.text) this.tokens = parseTokens(text);
      this.text = text;
      this.readAt = this.clock.now();
      this.problem = null;
    } catch (error) {
      this.problem = messageOf(error);
    }
    if (this.problem === before) return;
    if (this.problem === null) this.logger.info('The list of tokens is readable again');
    else this.logger.error('The list of tokens cannot be used', { path: this.path, reason: this.problem });
  }
}

function countText(tokens: readonly StoredToken[] | null): string {
  const count = tokens?.length ?? 0;
  return count === 1 ? '1 token' : `${count} tokens`;
}
