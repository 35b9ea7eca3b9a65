import type { OperationReply } from '../../server/http/schemas/operations';
import { api } from './api';

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
      const volume = await api.volume(volumeId).catch(() => null);
      if (volume) this.names.set(volumeId, volume.cloudstack_data.name);
      this.changed();
    });
  }
}
