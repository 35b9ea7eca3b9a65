import { CloudError, type CloudErrorKind, type CloudOutcome } from './cloud';

const TEXT_LIMIT = 1_000;

/** Control characters out, credentials out, bounded: the text goes into logs, replies and rows. */
export function cleanText(text: string): string {
  return text
    .replace(/[\u0000-\u001f\u007f]+/g, ' ')
    .replace(/\b(apikey|signature)=[^&\s"']+/gi, '$1=***')
    .slice(0, TEXT_LIMIT)
    .trim();
}

interface Answered {
  readonly httpStatus: number;
  readonly code: number;
  readonly csCode: number | null;
  readonly text: string;
  /** ms, from the header of that name. */
  readonly retryAfter?: number | null;
}

/** CloudStack's own errors (facts 1.6): what kind, and what they say about the call's effect. */
export function apiError({ httpStatus, code, csCode, text, retryAfter = null }: Answered): CloudError {
  const clean = cleanText(text);
  const kind = kindOf(code);
  return new CloudError(`CloudStack API error ${code}: ${clean}`, {
    kind,
    outcome: outcomeOf(kind, clean),
    httpStatus,
    code,
    csCode,
    text: clean,
    retryAfter: kind === 'rate-limit' ? (delayIn(clean) ?? retryAfter) : null,
  });
}

function kindOf(code: number): CloudErrorKind {
  switch (code) {
    case 401:
      return 'authentication';
    case 429:
      return 'rate-limit';
    case 431:
      return 'parameter';
    case 400:
    case 405:
    case 430:
    case 432:
      return 'unsupported';
    case 531:
      return 'permission';
    case 532:
    case 535:
      return 'quota';
    case 533:
      return 'capacity';
    case 534:
    case 536:
      return 'resource';
    default:
      return 'internal';
  }
}

function outcomeOf(kind: CloudErrorKind, text: string): CloudOutcome {
  switch (kind) {
    case 'authentication':
    case 'parameter':
    case 'unsupported':
    case 'permission':
    case 'quota':
      return 'final';
    case 'rate-limit':
    case 'configuration':
      return 'not-started';
    case 'capacity':
    case 'resource':
    case 'network':
      return 'unknown';
    case 'internal':
      return /shutdown has been triggered/i.test(text) ? 'not-started' : 'unknown';
    default:
      return kind satisfies never;
  }
}

function delayIn(text: string): number | null {
  const match = /retry after \[?(\d{1,9})\]? ?ms/i.exec(text);
  return match?.[1] ? Number(match[1]) : null;
}

/** Failures before a connection stood: the request certainly did not arrive. */
const NEVER_SENT = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EHOSTDOWN',
  'UND_ERR_CONNECT_TIMEOUT',
  'CERT_HAS_EXPIRED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'ERR_TLS_CERT_ALTNAME_INVALID',
]);

/** Anything that fetch throws, or an answer that is not CloudStack's. */
export function networkError(error: unknown, command: string): CloudError {
  const code = errorCode(error);
  const outcome = code !== null && NEVER_SENT.has(code) ? 'not-started' : 'unknown';
  const what =
    error instanceof Error && error.name === 'TimeoutError'
      ? 'timeout'
      : (code ?? (error instanceof Error ? cleanText(error.message) : 'no answer'));
  return new CloudError(`CloudStack did not answer ${command}: ${what}`, {
    kind: 'network',
    outcome,
    cause: error,
  });
}

export function badAnswer(command: string, httpStatus: number, reason: string): CloudError {
  return new CloudError(`CloudStack gave no usable answer to ${command} (HTTP ${httpStatus}): ${reason}`, {
    kind: 'network',
    outcome: 'unknown',
    httpStatus,
  });
}

/** The system error code somewhere in the chain of causes. */
function errorCode(error: unknown): string | null {
  for (
    let current: unknown = error, depth = 0;
    current instanceof Error && depth < 5;
    current = current.cause, depth += 1
  ) {
    if ('code' in current && typeof current.code === 'string') return current.code;
    if (current instanceof AggregateError && current.errors.length > 0) return errorCode(current.errors[0]);
  }
  return null;
}

/**
 * What a failed job says about trying again (facts 1.5 and 1.6; texts as of 4.20). `final`: CloudStack refused for good.
 * `retry`: it may work later. `unknown`: only the volume can tell. In every case the volume is read again first.
 */
export function classifyJobFailure(code: number | null, text: string | null): 'final' | 'retry' | 'unknown' {
  if (code === null || text === null) return 'unknown';
  if (/already attached to a vm/i.test(text)) return 'unknown';
  if (/in the process of unplug|after sending the command and waiting for|try again in a couple/i.test(text))
    return 'retry';
  if (code === 533 || code === 534 || code === 536) return 'retry';
  if (code === 530)
    return /agent|unreachable|timed? ?out|concurrent|is in \w+\. it should be/i.test(text)
      ? 'retry'
      : 'final';
  return 'final';
}

/** 431 whose text says that this very value names nothing. The code alone proves nothing. */
export function saysNoSuchEntity(error: CloudError, parameter: string, value: string): boolean {
  if (error.kind !== 'parameter') return false;
  const text = error.text.toLowerCase();
  return (
    text.includes(`parameter ${parameter} value=${value.toLowerCase()} `) &&
    text.includes('entity does not exist')
  );
}

/** 431 on a resend: CloudStack has this job id already, so the call had been accepted before. */
export function saysJobIdTaken(error: CloudError, jobId: string): boolean {
  return (
    error.kind === 'parameter' &&
    error.text.toLowerCase().includes(`uuid: ${jobId.toLowerCase()} already exists`)
  );
}

/** 431 to a page that is too large: how large it may be (`default.page.size` of the server); null for every other error. */
export function largestPage(error: CloudError): number | null {
  if (error.kind !== 'parameter') return null;
  const match = /page ?size can't exceed max allowed page ?size value: (\d{1,6})/i.exec(error.text);
  const most = Number(match?.[1] ?? 0);
  return most > 0 ? most : null;
}
