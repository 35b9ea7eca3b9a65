import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '~/server/core/clock';
import { silentLogger } from '~/server/core/log/logger';
import type { ConnectedClients } from '~/server/exports/connected-clients';
import { ExportLinks } from '~/server/exports/export-links';
import type { ExportTarget, ProbeResult } from '~/server/exports/export-server';
import { complaint, type Declared, LinkedExports } from '~/server/exports/linked-exports';
import { exportName } from '~/server/model/export-name';

const VOLUME = '11111111-2222-4333-8444-555555555555';
const NAME = exportName(VOLUME);
const NODE = '5 1234';
const target: ExportTarget = {
  name: NAME,
  volumeId: VOLUME,
  devicePath: '/dev/vdb',
  size: 4096,
  dev: null,
  diskseq: null,
};
const answer = { ok: true, size: 4096, readOnly: false, flush: true, fua: true, ms: 1 } as const;

it.each<[string, ProbeResult, string | null]>([
  ['the disk that was verified', { ...answer, nodes: [NODE] }, null],
  ['that disk among others', { ...answer, nodes: ['5 9', NODE] }, null],
  ['what the kernel does not show', { ...answer, nodes: null }, null],
  ['another disk of the same size', { ...answer, nodes: ['5 9'] }, 'serves another disk than /dev/vdb was'],
  ['no disk at all', { ...answer, nodes: [] }, 'serves another disk than /dev/vdb was'],
  ['a disk of another size', { ...answer, size: 512, nodes: [NODE] }, '512 bytes instead of 4096'],
  ['a disk that cannot be written', { ...answer, readOnly: true, nodes: [NODE] }, 'is read-only'],
  ['nothing', { ok: false, reason: 'refused', message: 'nobody is there', ms: 1 }, 'nobody is there'],
])('an export that has open %s', (_what, probe, wrong) => {
  const said = complaint(target, probe, NODE);
  expect(said).toEqual(wrong === null ? null : expect.stringContaining(wrong));
});

describe('a publish', () => {
  let dir: string;
  /** What happens once the server has answered. */
  let meanwhile: () => void;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'linked-exports-'));
    for (const folder of ['dev', 'run']) mkdirSync(join(dir, folder));
    writeFileSync(join(dir, 'dev/vdb'), '');
    meanwhile = () => {};
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  /** A server that has open what was declared. */
  class Served extends LinkedExports {
    readonly kind = 'nbdkit';
    protected async prepareOnce() {}
    protected async declare(wanted: ExportTarget): Promise<Declared> {
      return { node: await this.links.point(wanted), wasThere: false, trusted: true };
    }
    protected async serve(_: ExportTarget, { node }: Declared): Promise<ProbeResult> {
      meanwhile();
      return { ...answer, nodes: [node] };
    }
    protected clearPorts = [];
    protected remove = (name: string) => this.links.remove(name);
    protected configured = () => this.links.names();
    protected look = async () => ({ status: 'healthy', message: '', pid: 1, staleUntilRestart: 0 }) as const;
    static make() {
      const places = { runDir: join(dir, 'run'), devDir: join(dir, 'dev'), diskseq: () => null };
      const common = { ...places, host: '127.0.0.1', port: 1, binary: 'true', unit: null };
      return new Served(
        { ...common, clock: systemClock, logger: silentLogger },
        new ExportLinks(places, { apart: true }),
        {} as ConnectedClients,
      );
    }
  }
  const wanted = () => ({ ...target, devicePath: join(dir, 'dev/vdb') });

  it('is done when the disk is still the one that was verified', async () => {
    const server = Served.make();
    await server.publish(wanted());
    expect(await server.list()).toMatchObject([{ name: NAME, target: join(dir, 'dev/vdb') }]);
  });

  it('is taken back when another disk has its place by the time that the server has answered', async () => {
    const server = Served.make();
    meanwhile = () => {
      // Kept, so that the other one does not get its inode.
      renameSync(join(dir, 'dev/vdb'), join(dir, 'left'));
      writeFileSync(join(dir, 'dev/vdb'), '');
    };
    await expect(server.publish(wanted())).rejects.toMatchObject({ code: 'DEVICE_IDENTITY_MISMATCH' });
    expect(await server.list()).toEqual([]);
  });
});
