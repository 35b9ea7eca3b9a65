import type { ExportReply } from '../../server/http/schemas/exports';
import type { OperationReply } from '../../server/http/schemas/operations';
import type { HealthReply } from '../../server/http/schemas/service';
import type { MappingReply } from '../../server/http/schemas/volumes';
import { clockTime } from './format';

export type FeedState = 'connecting' | 'live' | 'lost';

export interface HistoryFilter {
  readonly type: string;
  readonly status: string;
  readonly text: string;
  readonly limit: number;
}

export type Part = 'health' | 'operations' | 'resources';

/** Whether what is shown of a part is what the daemon says now. */
export interface PartState {
  /** Wall clock time of its last answer, 0 before the first. */
  readonly answeredAtMs: number;
  /** Since when it cannot be read, and why; null while it can. */
  readonly failed: { readonly sinceMs: number; readonly why: string } | null;
}

/** Everything the page shows. */
export interface State {
  connection: FeedState;
  /** Wall clock time of the last answer of the daemon, 0 before the first. */
  answeredAtMs: number;
  needsToken: boolean;
  parts: Readonly<Record<Part, PartState>>;
  health: HealthReply | null;
  /** Executing and pending operations, oldest first. */
  active: readonly OperationReply[];
  history: readonly OperationReply[];
  /** The server has more operations than the filter asked for. */
  hasMore: boolean;
  devices: readonly MappingReply[];
  exports: readonly ExportReply[];
  filter: HistoryFilter;
}

/** What is shown is what the daemon says now. An empty list means "there is none" only then. */
export function isCurrent({ answeredAtMs, failed }: PartState): boolean {
  return answeredAtMs > 0 && failed === null;
}

/** Why a part is not current, and from when what is shown of it is; empty when it is current or was not asked for yet. */
export function staleText({ answeredAtMs, failed }: PartState): string {
  if (failed === null) return '';
  const why = failed.why.replace(/\.?$/, '.');
  if (answeredAtMs === 0) return `Not known: ${why}`;
  return `Not known since ${clockTime(failed.sinceMs)}: ${why} Below is how it was at ${clockTime(answeredAtMs)}.`;
}
