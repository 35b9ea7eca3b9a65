import type { LabOptions } from '~/lab/appliance';
import type { OperationReply } from '~/lab/client';
import { Walk } from '../integration/daemon/walk';
import { HELD_MS, Valve } from '../support/valve';

const GIB = 1024 ** 3;

/** A name that becomes a script, an attribute or a line of its own wherever somebody forgets to escape it. */
export const HOSTILE_NAME = `<img src=x onerror="globalThis.hacked=1"><script>globalThis.hacked=1</script>"'&amp;{{1}}`;

/**
 * An appliance with something to look at: disks here and elsewhere, a failure, and a volume with a hostile
 * name.
 */
export interface Scene {
  readonly walk: Walk;
  readonly volumes: Readonly<Record<'database' | 'files' | 'hostile' | 'elsewhere' | 'next', string>>;
  /** Begins an attach of `next` that CloudStack works on until `release`. */
  holdAttach(): Promise<OperationReply>;
  release(): void;
  /**
   * A disk in the guest of a volume that CloudStack says is detached: the daemon reports it and leaves it to
   * a person.
   */
  makeGhost(): Promise<void>;
  close(): Promise<void>;
}

export async function setScene(options: LabOptions = {}): Promise<Scene> {
  const valve = new Valve();
  const walk = await Walk.begin({ ...options, cloud: { ...options.cloud, clock: valve.clock } });
  try {
    const { model } = walk.lab.cloud;
    const otherVm = model.addVm({ name: 'migrated-vm' }).id;
    const volumes = {
      database: await walk.create('erp-db-disk-0', 40 * GIB),
      files: await walk.create('fileserver-disk-1', 250 * GIB),
      hostile: await walk.create(HOSTILE_NAME, 5 * GIB),
      elsewhere: await walk.create('mail-disk-0', 80 * GIB),
      next: await walk.create('web-disk-0', 20 * GIB),
    };
    await walk.attach(volumes.elsewhere, otherVm);
    for (const id of [volumes.database, volumes.files, volumes.hostile]) await walk.attach(id);
    // Refused in words: it is attached to the other VM.
    await walk.attach(volumes.elsewhere).catch(() => undefined);
    const usual = { ...model.latencies };
    return {
      walk,
      volumes,
      holdAttach: () => {
        model.latencies.attach = { accept: 0, job: HELD_MS };
        return walk.api.post<OperationReply>(`/api/v1/volumes/${volumes.next}/attach`, {
          vm_id: walk.appliance,
        });
      },
      release: () => {
        model.latencies.attach = usual.attach;
        valve.open();
      },
      makeGhost: async () => {
        const { next } = volumes;
        await walk.lab.guest.plug({
          volumeId: next,
          size: 20 * GIB,
          serial: next.replaceAll('-', '').slice(0, 20),
        });
      },
      close: () => walk.close(),
    };
  } catch (error) {
    await walk.close();
    throw error;
  }
}
