import type { ErrorCode } from '../core/errors';
import { CloudError, type CloudErrorKind, type CloudOutcome } from './cloud';

const TEXT_LIMIT = 1_000;
/** Of what is cleaned: to clean the megabytes that an answer may have takes longer than a lease lasts. */
const RAW_LIMIT = 16 * TEXT_LIMIT;

/**
 * Removes control characters and credentials and limits the length: the text goes into logs, replies and
 * rows. Half of a character, which a cut may leave, is refused by the JSON columns of MySQL.
 */
export function cleanText(text: string): string {
  return text
    .slice(0, RAW_LIMIT)
    .replace(/[\u0000-\u001f\u007f]+/g, ' ')
    .replace(/\b(apikey|signature)=[^&\s"']+/gi, '$1=***')
    .slice(0, TEXT_LIMIT)
    .replace(/\p{Cs}/gu, '\ufffd')
    .trim();
}

interface Answered {
  readonly httpStatus: number;
  readonly code: number;
  readonly csCode: number | null;
  readonly text: string;
  /** From the Retry-After header. */
  readonly retryAfterMs?: number | null;
}

/** Classifies an error that CloudStack answered: its kind, and what it says about the call's effect. */
export function apiError({ httpStatus, code, csCode, text, retryAfterMs = null }: Answered): CloudError {
  const clean = cleanText(text);
  const kind = kindOf(code, clean);
  return new CloudError(`CloudStack API error ${code}: ${clean}`, {
    kind,
    outcome: SAYS_OF_THE_CALL[kind](clean),
    httpStatus,
    code,
    csCode,
    text: clean,
    retryAfterMs: kind === 'rate-limit' ? (delayIn(clean) ?? retryAfterMs) : null,
  });
}

const KINDS: Readonly<Record<number, CloudErrorKind>> = {
  400: 'unsupported',
  401: 'authentication',
  405: 'unsupported',
  429: 'rate-limit',
  430: 'unsupported',
  431: 'parameter',
  432: 'unsupported',
  531: 'permission',
  532: 'quota',
  533: 'capacity',
  534: 'resource',
  535: 'quota',
  536: 'resource',
};

/**
 * Texts, mostly of 431, that say that the object is in transition: the same call will be accepted later. A
 * guest that is asked to give a disk up may take minutes over it (apache/cloudstack#7316, QEMU's "guest is
 * busy"), and libvirt lets nothing else be done while a backup or a migration runs. Somebody else, or a
 * snapshot policy, may have begun to work on the volume since it was looked at.
 */
const NOT_NOW =
  /either running or stopped|in the process of unplug|guest is busy|in boot state|in active block job|acquire state change lock|snapshot operations? in progress|is being (snapshotted|migrated|copied|resized)|being migrated|migration is in progress|try again|not in the right state at (this|the) moment|volume (state must|should) be in /i;

function kindOf(code: number, text: string): CloudErrorKind {
  if (code === 431 && saysNotNow(text)) return 'busy';
  return KINDS[code] ?? 'internal';
}

/** What an error of each kind says of the effect of the call. */
const SAYS_OF_THE_CALL: Readonly<Record<CloudErrorKind, (text: string) => CloudOutcome>> = {
  authentication: () => 'not-started',
  'rate-limit': () => 'not-started',
  configuration: () => 'not-started',
  busy: () => 'not-started',
  // createSnapshot looks at the volume before it looks at the job id, so a request that something on the way
  // has doubled is refused because of itself.
  parameter: (text) => (/is not in ready state but/i.test(text) ? 'unknown' : 'final'),
  unsupported: () => 'final',
  permission: () => 'final',
  quota: () => 'final',
  capacity: () => 'unknown',
  resource: () => 'unknown',
  network: () => 'unknown',
  internal: (text) => (/shutdown has been triggered/i.test(text) ? 'not-started' : 'unknown'),
};

/** Our error code for each kind of CloudStack error, in operations and in answers to requests. */
export const CODE_OF_KIND: Readonly<Record<CloudErrorKind, ErrorCode>> = {
  authentication: 'CLOUDSTACK_AUTH',
  quota: 'CLOUDSTACK_QUOTA',
  configuration: 'CLOUDSTACK_NOT_CONFIGURED',
  network: 'CLOUDSTACK_UNAVAILABLE',
  'rate-limit': 'CLOUDSTACK_UNAVAILABLE',
  capacity: 'CLOUDSTACK_UNAVAILABLE',
  resource: 'CLOUDSTACK_UNAVAILABLE',
  internal: 'CLOUDSTACK_UNAVAILABLE',
  busy: 'CLOUDSTACK_UNAVAILABLE',
  parameter: 'CLOUDSTACK_REJECTED',
  unsupported: 'CLOUDSTACK_REJECTED',
  permission: 'CLOUDSTACK_REJECTED',
};

/** Our error code for the number of a refused call or a failed job; null when the number says nothing. */
export function codeOfNumber(code: number | null): ErrorCode | null {
  const kind = code === null ? undefined : KINDS[code];
  return kind === 'authentication' || kind === 'quota' ? CODE_OF_KIND[kind] : null;
}

function delayIn(text: string): number | null {
  const match = /retry after \[?(\d{1,9})\]? ?ms/i.exec(text);
  return match?.[1] ? Number(match[1]) : null;
}

/** Certificates of a CA that the daemon does not know. Nothing was sent. */
const UNTRUSTED = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

/** Certificates that no setting of the daemon mends: the CA may well be known. Nothing was sent. */
const OUT_OF_DATE = new Set(['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID']);

/** Of the transport: no connection came about in time. */
export const CONNECT_TIMEOUT = 'ERR_CONNECT_TIMEOUT';

/** Failures before the connection was established: the request certainly did not arrive. */
const NEVER_SENT = new Set([...UNTRUSTED, ...OUT_OF_DATE, CONNECT_TIMEOUT, 'ERR_TLS_CERT_ALTNAME_INVALID']);

/** The same, when the attempt to connect has met them. */
const NO_CONNECTION = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EHOSTDOWN',
]);
const CONNECTING = new Set(['connect', 'getaddrinfo']);

/** Where nobody has been reached. */
const UNREACHED: ReadonlyMap<string, string> = new Map([
  ['ENOTFOUND', 'there is no host of that name: correct api_url, or mend the name service'],
  ['EAI_AGAIN', 'the name service does not answer: mend it, or write an address in api_url'],
  ['ECONNREFUSED', 'no server listens there: start it, or correct host and port in api_url'],
  ['EHOSTUNREACH', 'no way leads there: mend the network, or correct the host in api_url'],
  ['ENETUNREACH', 'no way leads there: mend the network, or correct the host in api_url'],
  [CONNECT_TIMEOUT, 'no connection in time: look at scheme, host and port in api_url, and at firewalls'],
]);

/** What mends a failure whose code does not say it. */
function hintFor(code: string): string | null {
  if (UNTRUSTED.has(code))
    return 'the daemon does not trust its certificate: name the CA in CLOUDSTACK_CA_FILE';
  if (OUT_OF_DATE.has(code))
    return 'its certificate is not valid by the clock of this machine: renew it, or set the clock';
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return 'its certificate is for other names: have one of them in api_url';
  if (code === 'EPROTO')
    return 'no TLS that the daemon understands is spoken there: correct scheme and port in api_url';
  if (code.startsWith('HPE_')) return 'no HTTP/1.1 is spoken there: correct scheme and port in api_url';
  return null;
}

/** Anything that fetch throws, or an answer that is not CloudStack's. */
export function networkError(error: unknown, command: string): CloudError {
  const failure = systemError(error);
  const code = failure?.code ?? null;
  const outcome = failure !== null && wasNeverSent(failure) ? 'not-started' : 'unknown';
  const what =
    error instanceof Error && error.name === 'TimeoutError'
      ? 'timeout'
      : (code ?? (error instanceof Error ? cleanText(error.message) : 'no answer'));
  // A connection that stood ends with the same codes.
  const unreached = outcome === 'not-started' ? UNREACHED.get(code ?? '') : undefined;
  const hint = code === null ? null : (hintFor(code) ?? unreached ?? null);
  return new CloudError(`CloudStack did not answer ${command}: ${what}${hint === null ? '' : ` (${hint})`}`, {
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

interface SystemError {
  readonly code: string;
  /** What failed: connect, read, write, …; null: it is not said. */
  readonly syscall: string | null;
}

/**
 * A connection that stands ends with the same codes as one that does not come about, when the kernel
 * gives up on a peer that something on the way calls unreachable: then CloudStack may have had the
 * request long before.
 */
function wasNeverSent({ code, syscall }: SystemError): boolean {
  return NEVER_SENT.has(code) || (NO_CONNECTION.has(code) && syscall !== null && CONNECTING.has(syscall));
}

/** The error with a system error code somewhere in the chain of causes. */
function systemError(error: unknown): SystemError | null {
  for (
    let current: unknown = error, depth = 0;
    current instanceof Error && depth < 5;
    current = current.cause, depth += 1
  ) {
    // Of a host with several addresses: one for each of them.
    if (current instanceof AggregateError && current.errors.length > 0) return systemError(current.errors[0]);
    if ('code' in current && typeof current.code === 'string') {
      const syscall = 'syscall' in current && typeof current.syscall === 'string' ? current.syscall : null;
      return { code: current.code, syscall };
    }
  }
  return null;
}

/**
 * Job failures that are temporary (texts of 4.20): an agent is away, storage is not up yet, a slow unplug, a
 * restart.
 */
const PASSING =
  /after sending the command and waiting for|agent|unreachable|timed? ?out|concurrent|is in \w+\. it should be|shutdown has been triggered/i;

/** The VM has as many disks as CloudStack, or the machine that the hypervisor gave it, allows. */
export function saysFull(text: string | null): boolean {
  return text !== null && FULL.test(text);
}

const FULL =
  /maximum number of data disks|all device ids are used|no more available pci(e)? (slots|addresses)|no available pci(e)? slot/i;

/** Failures with code 530, or a number that CloudStack does not define, that would repeat. */
const LASTING =
  /does not have permission|different accounts|deviceid should be|is used by vm|not authorized|only for kvm/i;

/** A server that has just started says so, and so does one that really has no storage. */
const STARTING = /suitable primary storage|no remote endpoint|unable to schedule async job/i;

/** The job met a server whose hosts or storage are not connected, perhaps not yet. */
export function saysStarting(text: string | null): boolean {
  return text !== null && STARTING.test(text);
}

/**
 * The job was refused because its object is in transition: it is worth as much patience as a call so refused.
 */
export function saysNotNow(text: string | null): boolean {
  return text !== null && NOT_NOW.test(text);
}

/**
 * What a failed job says about trying again. `final`: CloudStack refused for good. `retry`: it may work
 * later; an internal error of unknown text is tried a few times. `unknown`: only the volume can tell. In
 * every case the volume is read again first.
 */
export function classifyJobFailure(code: number | null, text: string | null): 'final' | 'retry' | 'unknown' {
  if (code === null || text === null) return 'unknown';
  // A read that says otherwise is older than this answer.
  if (impliesEffect(text)) return 'unknown';
  if (saysFull(text)) return 'final';
  if (PASSING.test(text) || saysNotNow(text) || saysStarting(text)) return 'retry';
  const kind = KINDS[code] ?? 'internal';
  if (kind === 'capacity' || kind === 'resource') return 'retry';
  return kind === 'internal' && !LASTING.test(text) ? 'retry' : 'final';
}

/** True for the refusals of an attach or a detach that imply that the wanted state holds. */
export function impliesEffect(text: string): boolean {
  return /already attached to a vm|that is not attached to any vm|volume is not attached to a vm/i.test(text);
}

/** 431 whose text says that this value names nothing. The code alone proves nothing. */
export function saysNoSuchEntity(error: CloudError, parameter: string, value: string): boolean {
  if (error.kind !== 'parameter') return false;
  const text = error.text.toLowerCase();
  return (
    text.includes(`parameter ${parameter} value=${value.toLowerCase()} `) &&
    text.includes('entity does not exist')
  );
}

/**
 * The texts that prove that a volume was removed, the synchronous answers to every change of it: 431 `Unable
 * to find UUID for id [23] of type [Volume]`; and where it is removed while CloudStack looks at the call, and
 * in older versions (`aquire`), `Unable to find volume with ID: 23`. Nothing but these texts: others repeat
 * names, which anybody may choose.
 */
export function saysRemoved(text: string | null): boolean {
  return text !== null && REMOVED.test(text);
}

const REMOVED =
  /^unable to (find uuid for id \[\d+\] of type \[volume\]|(find|ac?quire) volume with id: \d+|find volume by id=\d+)$/i;

/**
 * What a refusal says is not there, any more where it was there a moment before: the error code for it. null:
 * it says nothing of the kind, or says it of a volume, of which a look at it tells more (`saysRemoved`).
 */
export function codeOfMissing(text: string | null): ErrorCode | null {
  return MISSING.find(([, texts]) => texts.some((says) => text !== null && says.test(text)))?.[0] ?? null;
}

const noSuch = (parameter: string, command = String.raw`\w+`) =>
  new RegExp(
    String.raw`^unable to execute api command ${command} due to invalid value\. invalid parameter ${parameter} value=\S+ due to incorrect long value format, or entity does not exist`,
    'i',
  );

const MISSING: readonly (readonly [ErrorCode, readonly RegExp[]])[] = [
  ['ZONE_NOT_FOUND', [noSuch('zoneid'), /^unable to find zone by id \w+$/i]],
  ['DISK_OFFERING_NOT_FOUND', [noSuch('diskofferingid'), /^please specify a valid disk offering\.?$/i]],
  [
    'VM_NOT_FOUND',
    [
      noSuch('virtualmachineid'),
      noSuch('id', String.raw`\w+virtualmachine`),
      /^unable to find uuid for id \[\d+\] of type \[virtualmachine\]$/i,
      /^please specify a valid user vm\.?$/i,
    ],
  ],
  [
    'SNAPSHOT_NOT_FOUND',
    [noSuch('id', String.raw`\w+snapshot`), /^unable to find uuid for id \[\d+\] of type \[snapshot\]$/i],
  ],
];

/**
 * The job of a second deleteSnapshot: 431 `Snapshot with id: 3 is already destroyed`, and nothing but that.
 */
export function saysSnapshotDestroyed(text: string | null): boolean {
  return text !== null && /^snapshot with id: \d+ is already destroyed$/i.test(text);
}

/**
 * A resend under a job id that CloudStack has already: 431 while that job is pending, and once it has ended
 * 530 "Entity already exists", of which a user's key only sees the general text (that case is settled by
 * querying the job). The first call had been accepted.
 */
export function saysJobIdTaken(error: CloudError, jobId: string): boolean {
  if (error.code === 530) return /^entity already exists/i.test(error.text);
  return (
    error.code === 431 && error.text.toLowerCase().includes(`uuid: ${jobId.toLowerCase()} already exists`)
  );
}

/**
 * 431 to a page that is too large: how large it may be (`default.page.size` of the server); null for every
 * other error.
 */
export function largestPage(error: CloudError): number | null {
  if (error.kind !== 'parameter') return null;
  const match = /page ?size can't exceed max allowed page ?size value: (\d{1,6})/i.exec(error.text);
  const most = Number(match?.[1] ?? 0);
  return most > 0 ? most : null;
}
