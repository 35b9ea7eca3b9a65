import type { ExportReply } from '../../server/http/schemas/exports';
import type { OperationReply } from '../../server/http/schemas/operations';
import type { MappingReply } from '../../server/http/schemas/volumes';
import { clockTime } from './format';

export type FeedState = 'connecting' | 'live' | 'lost';

/** What a page reads, each part by itself: one that cannot be read leaves the others current. */
export type Part =
  | 'caller'
  | 'health'
  | 'operations'
  | 'failures'
  | 'resources'
  | 'charts'
  | 'volume'
  | 'volumes'
  | 'snapshots'
  | 'export'
  | 'operation';

/** Whether what is shown of a part is what the daemon says now. */
export interface PartState {
  /** Wall clock time of its last answer, 0 before the first. */
  readonly answeredAtMs: number;
  /** Since when it cannot be read, and why; null while it can. */
  readonly failed: { readonly sinceMs: number; readonly why: string } | null;
}

export const UNREAD: PartState = { answeredAtMs: 0, failed: null };

/** What the first page shows beside health. */
export interface State {
  /** Executing and pending operations, oldest first. */
  active: readonly OperationReply[];
  /** Operations that failed within the last hour, newest first. */
  failures: readonly OperationReply[];
  history: readonly OperationReply[];
  /** The server has more operations than were asked for. */
  hasMore: boolean;
  devices: readonly MappingReply[];
  exports: readonly ExportReply[];
}

/** What is shown is what the daemon says now. An empty list means "there is none" only then. */
export function isCurrent({ answeredAtMs, failed }: PartState): boolean {
  return answeredAtMs > 0 && failed === null;
}

/**
 * Why a part is not current, and from when what is shown of it is; empty when it is current or
 * was not asked for yet.
 */
export function staleText({ answeredAtMs, failed }: PartState): string {
  if (failed === null) return '';
  const why = failed.why.replace(/\.?$/, '.');
  const since = `Not known since ${clockTime(failed.sinceMs)}`;
  if (answeredAtMs === 0) return `${since}: ${why}`;
  return `${since}: ${why} Below is how it was at ${clockTime(answeredAtMs)}.`;
}
