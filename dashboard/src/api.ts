import type { ExportReply } from '../../server/http/schemas/exports';
import type { JournalEntryReply, OperationReply } from '../../server/http/schemas/operations';
import type { ProblemReply } from '../../server/http/schemas/problem';
import type { HealthReply, SyncReply } from '../../server/http/schemas/service';
import type { MappingReply, VolumeReply } from '../../server/http/schemas/volumes';
import { messagesIn, readText } from './sse';

const TOKEN = 'volume-daemon-token';
/** A daemon that does not answer in this time is treated as gone, ms. */
const PATIENCE = 20_000;
/** A stream of a running operation that has been silent for so long has told its past, ms. */
const QUIET = 400;

/** Kept for this tab only. */
export const token = {
  get: (): string | null => sessionStorage.getItem(TOKEN),
  set: (value: string): void => sessionStorage.setItem(TOKEN, value),
};

export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly fix: string,
  ) {
    super(message);
  }
}

export function headers(more: Readonly<Record<string, string>> = {}): Headers {
  const made = new Headers(more);
  const secret = token.get();
  if (secret !== null) made.set('authorization', `Bearer ${secret}`);
  return made;
}

async function call<T>(method: 'GET' | 'POST', path: string): Promise<T> {
  const answer = await fetch(path, { method, headers: headers(), signal: AbortSignal.timeout(PATIENCE) });
  const text = await answer.text();
  if (!answer.ok) throw problem(answer.status, text);
  return JSON.parse(text);
}

export function problem(status: number, text: string): ApiError {
  try {
    const { error, fix }: Partial<ProblemReply> = JSON.parse(text);
    return new ApiError(status, error ?? `HTTP ${status}`, fix ?? '');
  } catch {
    return new ApiError(status, `HTTP ${status}`, '');
  }
}

export interface OperationQuery {
  readonly type?: string;
  readonly status?: string;
  readonly volumeId?: string;
  readonly limit: number;
}

export const api = {
  health: () => call<HealthReply>('GET', '/api/v1/health'),
  devices: () => call<MappingReply[]>('GET', '/api/v1/devices'),
  exports: () => call<ExportReply[]>('GET', '/api/v1/exports'),
  volume: (id: string) => call<VolumeReply>('GET', `/api/v1/volumes/${encodeURIComponent(id)}`),
  sync: (dryRun: boolean) => call<SyncReply>('POST', `/api/v1/admin/force-sync?dry_run=${dryRun}`),
  operations({ type = '', status = '', volumeId = '', limit }: OperationQuery) {
    const query = new URLSearchParams({ type, status, volume_id: volumeId, limit: String(limit) });
    return call<OperationReply[]>('GET', `/api/v1/operations?${query}`);
  },

  /** What has happened to an operation so far. The stream of one that still runs is left once its past has been told. */
  async journal(operationId: string): Promise<JournalEntryReply[]> {
    const leave = new AbortController();
    const answer = await fetch(`/api/v1/operations/${encodeURIComponent(operationId)}/events`, {
      headers: headers(),
      signal: leave.signal,
    });
    if (!answer.ok || !answer.body) throw problem(answer.status, await answer.text());
    const entries: JournalEntryReply[] = [];
    let quiet = window.setTimeout(() => leave.abort(), PATIENCE);
    try {
      for await (const message of messagesIn(readText(answer.body))) {
        if (message.event === 'operation') entries.push(JSON.parse(message.data));
        window.clearTimeout(quiet);
        quiet = window.setTimeout(() => leave.abort(), QUIET);
      }
    } catch (error) {
      if (!leave.signal.aborted) throw error;
    } finally {
      window.clearTimeout(quiet);
    }
    return entries;
  },
};
