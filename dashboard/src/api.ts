import { ApiError, problemIn } from '../../cli/client/errors';
import type { ExportReply } from '../../server/http/schemas/exports';
import type { OperationReply } from '../../server/http/schemas/operations';
import type { HealthReply, SyncReply } from '../../server/http/schemas/service';
import type { MappingReply, VolumeEvidenceReply, VolumeReply } from '../../server/http/schemas/volumes';

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

async function request<T>(method: 'GET' | 'POST', path: string): Promise<T> {
  const answer = await fetch(path, {
    method,
    headers: headers(),
    signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
  });
  const text = await answer.text();
  if (!answer.ok) throw refusal(answer.status, text);
  return JSON.parse(text);
}

/** The error that an answer reports. */
export function refusal(status: number, text: string): Error {
  const problem = problemIn(text);
  return problem ? new ApiError(status, problem) : new Error(`HTTP ${status}`);
}

interface OperationQuery {
  readonly type?: string;
  readonly status?: string;
  readonly volumeId?: string;
  readonly limit: number;
}

export const api = {
  health: () => request<HealthReply>('GET', '/api/v1/health'),
  document: () => request<object>('GET', '/api/v1/openapi.json'),
  devices: () => request<MappingReply[]>('GET', '/api/v1/devices'),
  exports: () => request<ExportReply[]>('GET', '/api/v1/exports'),
  volume: (id: string) => request<VolumeReply>('GET', `/api/v1/volumes/${encodeURIComponent(id)}`),
  evidence: (id: string) =>
    request<VolumeEvidenceReply>('GET', `/api/v1/volumes/${encodeURIComponent(id)}/evidence`),
  sync: (dryRun: boolean) => request<SyncReply>('POST', `/api/v1/admin/force-sync?dry_run=${dryRun}`),
  operations({ type = '', status = '', volumeId = '', limit }: OperationQuery) {
    const query = new URLSearchParams({ type, status, volume_id: volumeId, limit: String(limit) });
    return request<OperationReply[]>('GET', `/api/v1/operations?${query}`);
  },
};
