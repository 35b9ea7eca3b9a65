import { ApiError, problemIn } from '../../cli/client/errors';
import type { OfferingReply, ZoneReply } from '../../server/http/schemas/diagnostics';
import type { ExportReply } from '../../server/http/schemas/exports';
import type { MetricsHistoryReply } from '../../server/http/schemas/metrics-history';
import type { OperationReply } from '../../server/http/schemas/operations';
import type { CallerReply, HealthReply, SyncReply } from '../../server/http/schemas/service';
import type {
  MappingReply,
  ResolvedVolumeReply,
  SnapshotReply,
  VolumeEvidenceReply,
  VolumeListReply,
  VolumeReply,
} from '../../server/http/schemas/volumes';

const TOKEN_KEY = 'volume-daemon-token';
/** A daemon that does not answer within this time counts as unavailable. */
const REQUEST_TIMEOUT_MS = 20_000;

/** The bearer token, kept for this tab only. */
export const token = {
  get: (): string | null => sessionStorage.getItem(TOKEN_KEY),
  set: (value: string): void => sessionStorage.setItem(TOKEN_KEY, value),
};

export function headers(more: Readonly<Record<string, string>> = {}): Headers {
  const made = new Headers(more);
  const secret = token.get();
  if (secret !== null) made.set('authorization', `Bearer ${secret}`);
  return made;
}

async function request<T>(method: string, path: string, init: RequestInit = {}): Promise<T> {
  return (await answerTo<T>(method, path, init)).body;
}

async function answerTo<T>(
  method: string,
  path: string,
  init: RequestInit = {},
): Promise<{ readonly body: T; readonly headers: Headers }> {
  const answer = await fetch(path, {
    headers: headers(),
    ...init,
    method,
    signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
  });
  const text = await answer.text();
  if (!answer.ok) throw refusal(answer.status, text);
  return { body: JSON.parse(text), headers: answer.headers };
}

/** All pages of a list, following the Link headers. */
async function allOf<T>(path: string): Promise<T[]> {
  const all: T[] = [];
  for (let next: string | undefined = path; next !== undefined; ) {
    const { body, headers }: { body: readonly T[]; headers: Headers } = await answerTo('GET', next);
    all.push(...body);
    next = /^<([^>]+)>; rel="next"/.exec(headers.get('link') ?? '')?.[1];
  }
  return all;
}

/**
 * A request that changes something. Sent again with the same key and body, the daemon answers with the
 * operation that it has already accepted.
 */
export function change<T>(
  method: 'POST' | 'DELETE',
  path: string,
  body: Readonly<Record<string, unknown>>,
  idempotencyKey: string,
): Promise<T> {
  return request<T>(method, path, {
    headers: headers({ 'content-type': 'application/json', 'idempotency-key': idempotencyKey }),
    body: JSON.stringify(body),
  });
}

/** The error that an answer reports. */
export function refusal(status: number, text: string): Error {
  const problem = problemIn(text);
  return problem ? new ApiError(status, problem) : new Error(`HTTP ${status}`);
}

/** A page of volumes; `next`: there are more after it. */
export interface VolumeListPage extends VolumeListReply {
  readonly next: boolean;
}

interface OperationQuery {
  readonly type?: string;
  readonly status?: string;
  readonly find?: string;
  readonly volume_id?: string;
  /** Wall clock ms. */
  readonly since?: string;
  readonly limit: number;
}

export function volumePath(id: string): string {
  return `/api/v1/volumes/${encodeURIComponent(id)}`;
}

export function operationPath(id: string): string {
  return `/api/v1/operations/${encodeURIComponent(id)}`;
}

export const api = {
  whoami: () => request<CallerReply>('GET', '/api/v1/whoami'),
  health: () => request<HealthReply>('GET', '/api/v1/health'),
  document: () => request<object>('GET', '/api/v1/openapi.json'),
  devices: () => allOf<MappingReply>('/api/v1/devices'),
  exports: () => request<ExportReply[]>('GET', '/api/v1/exports'),
  zones: () => request<ZoneReply[]>('GET', '/api/v1/admin/zones'),
  offerings: () => request<OfferingReply[]>('GET', '/api/v1/admin/offerings'),
  /** The one volume that a name, or the beginning of an id, means. */
  resolve: (reference: string) =>
    request<ResolvedVolumeReply>('GET', `/api/v1/volumes/resolve?${new URLSearchParams({ ref: reference })}`),
  volume: (id: string) => request<VolumeReply>('GET', volumePath(id)),
  evidence: (id: string) => request<VolumeEvidenceReply>('GET', `${volumePath(id)}/evidence`),
  /** What the database has of its export; null: none. */
  exportOf: (id: string) =>
    request<ExportReply>('GET', `/api/v1/exports/${encodeURIComponent(id)}`).catch(
      unless('EXPORT_NOT_FOUND', null),
    ),
  /** Newest first; of a volume that is gone there may be some left. */
  snapshots: (id: string) =>
    request<SnapshotReply[]>('GET', `${volumePath(id)}/snapshots`).catch(
      unless<SnapshotReply[]>('VOLUME_NOT_FOUND', []),
    ),
  async volumes(query: URLSearchParams): Promise<VolumeListPage> {
    const { body, headers } = await answerTo<VolumeListReply>('GET', `/api/v1/volumes?${query}`);
    return { ...body, next: headers.has('link') };
  },
  operation: (id: string) => request<OperationReply>('GET', operationPath(id)),
  history: (span: string) => request<MetricsHistoryReply>('GET', `/api/v1/metrics/history?span=${span}`),
  /** Compares, and changes nothing. */
  dryRun: () => request<SyncReply>('POST', '/api/v1/admin/force-sync?dry_run=true'),
  operations({ limit, ...filters }: OperationQuery) {
    const query = new URLSearchParams({ limit: String(limit) });
    for (const [name, value] of Object.entries(filters)) {
      const text = value.trim();
      if (text !== '') query.set(name, text);
    }
    return request<OperationReply[]>('GET', `/api/v1/operations?${query}`);
  },
};

/** The answer instead of this error, which says that there is none. */
function unless<T>(code: string, none: T): (error: unknown) => T {
  return (error) => {
    if (error instanceof ApiError && error.problem.code === code) return none;
    throw error;
  };
}
