import type { OperationReply } from '../../server/http/schemas/operations';
import { api } from './api';
import { HISTORY_MAX } from './filter';

/** What has a mapping is attached. */
const ATTACHED = { attached: 'true', limit: String(HISTORY_MAX) };

/** The names of volumes. CloudStack is asked once per volume and page view. */
export class VolumeNames {
  private readonly names = new Map<string, string>();
  /** Requests, one after the other. */
  private asking: Promise<void> = Promise.resolve();

  constructor(private readonly changed: () => void) {}

  /** Empty while it is unknown. */
  of(volumeId: string): string {
    return this.names.get(volumeId) ?? '';
  }

  learn(volumeId: string, name: string): void {
    if (volumeId !== '' && name !== '') this.names.set(volumeId, name);
  }

  /** The request of a create tells it. */
  learnFrom({ type, request, volume_id }: OperationReply): void {
    if (type === 'create' && typeof request.name === 'string') this.learn(volume_id, request.name);
  }

  ask(volumeId: string): void {
    if (this.names.has(volumeId)) return;
    this.names.set(volumeId, '');
    this.asking = this.asking.then(async () => {
      if (this.of(volumeId) !== '') return;
      const volume = await api.volume(volumeId).catch(() => null);
      if (volume) this.names.set(volumeId, volume.cloudstack_data.name);
      this.changed();
    });
  }

  /**
   * The list has the names of most of them in one answer, without a call to CloudStack; the
   * others are asked for.
   */
  askAll(volumeIds: readonly string[]): void {
    const unknown = volumeIds.filter((id) => !this.names.has(id));
    if (unknown.length > 1)
      this.asking = this.asking.then(async () => {
        const list = await api.volumes(new URLSearchParams(ATTACHED)).catch(() => null);
        for (const { volume_id, name } of list?.volumes ?? []) this.learn(volume_id, name ?? '');
        this.changed();
      });
    for (const id of unknown) this.ask(id);
  }
}
