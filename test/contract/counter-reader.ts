import { describe, expect, it } from 'vitest';
import type { CounterReader, Plug } from '~/server/devices/disk-counters';

const MIB = 1024 ** 2;

/** A guest whose disks somebody uses, and the reader of its counters. */
export interface CounterLab {
  readonly reader: CounterReader;
  plug(volumeId: string): Promise<Plug>;
  unplug(volumeId: string): Promise<void>;
  /** From now on the kernel has counted so much since the disk was plugged in. */
  count(volumeId: string, bytes: { readonly read: number; readonly written: number }): Promise<void>;
}

/** What every reader of disk counters promises. */
export function counterReaderContract(create: () => Promise<CounterLab>): void {
  describe('the counters of a disk', () => {
    it('begin at zero when it is plugged in, and are in bytes', async () => {
      const { reader, plug, count } = await create();
      const disk = await plug('one');
      expect(reader.read(disk)).toMatchObject({
        kind: 'seen',
        by: 'guest',
        value: { readBytes: 0, writtenBytes: 0, requests: 0, inFlight: 0 },
      });
      await count('one', { read: 4 * MIB, written: 7 * MIB });
      const { kind, value } = { value: null, ...reader.read(disk) };
      expect(kind).toBe('seen');
      expect(value).toMatchObject({ readBytes: 4 * MIB, writtenBytes: 7 * MIB, inFlight: 0 });
      expect(value?.requests).toBeGreaterThan(0);
    });

    it("are never another disk's: of a disk that has left they are absent, also once its letter is given again", async () => {
      const { reader, plug, unplug, count } = await create();
      const first = await plug('one');
      await count('one', { read: 0, written: 9 * MIB });
      await unplug('one');
      expect(reader.read(first)).toMatchObject({ kind: 'absent' });
      const second = await plug('two');
      expect(second.name).toBe(first.name);
      expect(reader.read(first)).toMatchObject({ kind: 'absent' });
      expect(reader.read(second)).toMatchObject({ kind: 'seen', value: { writtenBytes: 0 } });
    });

    it('are unknown where the kernel does not number plugs, and say why', async () => {
      const { reader, plug } = await create();
      const disk = await plug('one');
      expect(reader.read({ ...disk, diskseq: null })).toMatchObject({
        kind: 'unknown',
        why: expect.stringContaining(disk.path),
      });
    });

    it('flushing a disk that is there succeeds, flushing one that is not fails', async () => {
      const { reader, plug, unplug } = await create();
      const disk = await plug('one');
      await reader.flush(disk);
      await unplug('one');
      await expect(reader.flush(disk)).rejects.toThrow();
    });
  });
}
