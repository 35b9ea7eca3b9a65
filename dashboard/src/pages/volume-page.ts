import type { EventSourceMessage } from 'eventsource-parser';
import type { ExportReply } from '../../../server/http/schemas/exports';
import type { JournalEntryReply, OperationReply } from '../../../server/http/schemas/operations';
import type { DriftReply } from '../../../server/http/schemas/service';
import type { TrafficEventReply } from '../../../server/http/schemas/traffic';
import type { SnapshotReply, VolumeEvidenceReply } from '../../../server/http/schemas/volumes';
import type { Target } from '../acts/volume-acts';
import { api } from '../api';
import { ChartHistory } from '../charts/history';
import { HISTORY_MAX, HISTORY_PAGE } from '../filter';
import { Journals } from '../journals';
import { Live } from '../live';
import { VolumeNames } from '../names';

const INTERVAL_MS = 15_000;
/** CloudStack is asked for them, and only operations of other programs change them unseen. */
const SNAPSHOTS_INTERVAL_MS = 60_000;

/** What the page of one volume shows. */
export class VolumePage {
  evidence: VolumeEvidenceReply | null = null;
  exported: ExportReply | null = null;
  snapshots: readonly SnapshotReply[] = [];
  operations: readonly OperationReply[] = [];
  hasMore = false;
  private limit = HISTORY_PAGE;
  readonly charts = new ChartHistory();
  readonly live: Live;
  readonly journals: Journals;
  readonly names: VolumeNames;

  constructor(
    readonly id: string,
    changed: () => void,
  ) {
    this.journals = new Journals(changed);
    this.names = new VolumeNames(changed);
    this.live = new Live({
      readers: {
        volume: { everyMs: INTERVAL_MS, read: () => this.readEvidence() },
        export: { everyMs: INTERVAL_MS, read: () => this.readExport() },
        snapshots: { everyMs: SNAPSHOTS_INTERVAL_MS, read: () => this.readSnapshots() },
        operations: { everyMs: INTERVAL_MS, read: () => this.readOperations() },
        charts: this.charts.reader,
      },
      onEvent: (event) => this.eventReceived(event),
      changed,
    });
  }

  get target(): Target {
    return { id: this.id, name: this.names.of(this.id) };
  }

  get drifts(): readonly DriftReply[] {
    const all = this.live.health?.details.drifts ?? [];
    return all.filter(({ volume_id }) => volume_id === this.id);
  }

  showMore(): void {
    this.limit = Math.min(HISTORY_MAX, this.limit * 2);
    this.live.invalidate('operations');
  }

  private eventReceived({ event, data }: EventSourceMessage): void {
    if (event === 'traffic') {
      const told: TrafficEventReply = JSON.parse(data);
      if (this.exported !== null && told.volume_id === this.id)
        this.exported = { ...this.exported, traffic: told.traffic };
      return;
    }
    if (event === 'operation') {
      const entry: JournalEntryReply = JSON.parse(data);
      this.journals.keep(entry);
      const known = this.operations.some(({ id }) => id === entry.operation_id);
      if (!known && entry.state !== 'pending') return;
      this.live.invalidate('operations');
      const hasEnded = entry.state === 'completed' || entry.state === 'failed';
      if (hasEnded) this.live.invalidate('snapshots');
      if (entry.state !== 'done' && !hasEnded) return;
    }
    this.live.invalidate('volume', 'export', 'health');
  }

  private async readEvidence(): Promise<void> {
    this.evidence = await api.evidence(this.id);
    this.names.learn(this.id, this.evidence.cloudstack.value?.name ?? '');
  }

  private async readSnapshots(): Promise<void> {
    this.snapshots = await api.snapshots(this.id);
  }

  private async readExport(): Promise<void> {
    this.exported = await api.exportOf(this.id);
  }

  private async readOperations(): Promise<void> {
    const limit = Math.min(this.limit + 1, HISTORY_MAX);
    const found = await api.operations({ volume_id: this.id, limit });
    this.hasMore = found.length > this.limit;
    this.operations = found.slice(0, this.limit);
    for (const operation of found) this.names.learnFrom(operation);
    for (const { id, status } of this.operations) if (status === 'executing') void this.journals.need(id);
  }
}
