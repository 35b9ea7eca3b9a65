import type { EventSourceMessage } from 'eventsource-parser';
import type { JournalEntryReply, OperationReply } from '../../../server/http/schemas/operations';
import { api } from '../api';
import { Journals } from '../journals';
import { Live } from '../live';
import { VolumeNames } from '../names';

const INTERVAL_MS = 15_000;

/** What the page of one operation shows. */
export class OperationPage {
  operation: OperationReply | null = null;
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
      readers: { operation: { everyMs: INTERVAL_MS, read: () => this.readOperation() } },
      onEvent: (event) => this.eventReceived(event),
      changed,
    });
  }

  get journal(): JournalEntryReply[] {
    return this.journals.of(this.id);
  }

  private eventReceived({ event, data }: EventSourceMessage): void {
    if (event !== 'operation') return;
    const entry: JournalEntryReply = JSON.parse(data);
    if (entry.operation_id !== this.id) return;
    this.journals.keep(entry);
    this.live.invalidate('operation');
  }

  private async readOperation(): Promise<void> {
    this.operation = await api.operation(this.id);
    this.names.learnFrom(this.operation);
    if (this.operation.volume_id !== '') this.names.ask(this.operation.volume_id);
    await this.journals.need(this.id);
  }
}
