import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '~/server/core/clock';
import { silentLogger } from '~/server/core/log/logger';
import type { ConnectedClients } from '~/server/exports/connected-clients';
import { ExportLinks } from '~/server/exports/export-links';
import type { ExportTarget, ProbeResult } from '~/server/exports/export-server';
import { complaint, type Declared, LinkedExports, type Prove } from '~/server/exports/linked-exports';
import { exportName } from '~/server/model/export-name';

const VOLUME = '11111111-2222-4333-8444-555555555555';
const OTHER = '66666666-2222-4333-8444-555555555555';
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

describe('an export', () => {
  let dir: string;
  /** What happens once the server has answered. */
  let meanwhile: () => void;
  /** Was the export there before this publish? */
  let wasThere: boolean;
  /** What the handshake finds; null: the disk that was declared. */
  let found: ProbeResult | null;
  /** Devices whose clients were cut. */
  let cut: string[];
  let server: Served;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'linked-exports-'));
    for (const folder of ['dev', 'run']) mkdirSync(join(dir, folder));
    for (const name of ['vdb', 'vdc']) writeFileSync(join(dir, 'dev', name), name);
    meanwhile = () => {};
    wasThere = false;
    found = null;
    cut = [];
    server = Served.make();
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  /** A server that has open what was declared. */
  class Served extends LinkedExports {
    readonly kind = 'nbdkit';
    /** The disk that was declared last. */
    node = '';
    protected async prepareOnce() {}
    protected async declare(wanted: ExportTarget): Promise<Declared> {
      this.node = await this.links.point(wanted);
      return { node: this.node, wasThere, trusted: true };
    }
    protected async serve(_: ExportTarget, __: Declared, prove: Prove): Promise<ProbeResult> {
      const probe = await prove();
      meanwhile();
      return probe;
    }
    protected clearPorts = [];
    protected remove = (name: string) => this.links.remove(name);
    protected configured = () => this.links.names();
    protected look = async () => ({ status: 'healthy', message: '', pid: 1, staleUntilRestart: 0 }) as const;
    static make(): Served {
      const places = { runDir: join(dir, 'run'), devDir: join(dir, 'dev'), diskseq: () => null };
      const common = { ...places, host: '127.0.0.1', port: 1, binary: 'true', unit: null };
      const clients: Pick<ConnectedClients, 'prove' | 'cut'> = {
        prove: async () => found ?? { ...answer, nodes: [made.node] },
        cut: async (_, device) => void cut.push(device),
      };
      const made = new Served(
        { ...common, clock: systemClock, logger: silentLogger },
        new ExportLinks(places, { apart: true }),
        clients as ConnectedClients,
      );
      return made;
    }
  }
  const wanted = (name = 'vdb') => ({ ...target, devicePath: join(dir, 'dev', name) });
  const targets = async () => (await server.list()).map((one) => one.target);
  const silent: ProbeResult = { ok: false, reason: 'timeout', message: 'no answer', ms: 1 };

  it('is published when the disk is still the one that was verified', async () => {
    await server.publish(wanted());
    expect(await server.list()).toMatchObject([{ name: NAME, target: join(dir, 'dev/vdb') }]);
  });

  it('is taken back when another disk has its place by the time that the server has answered', async () => {
    meanwhile = () => {
      // Kept, so that the other one does not get its inode.
      renameSync(join(dir, 'dev/vdb'), join(dir, 'left'));
      writeFileSync(join(dir, 'dev/vdb'), '');
    };
    await expect(server.publish(wanted())).rejects.toMatchObject({ code: 'DEVICE_IDENTITY_MISMATCH' });
    expect(await server.list()).toEqual([]);
  });

  it.each<[what: string, before: boolean, probe: ProbeResult, stays: boolean]>([
    ['that was there stays when the server merely does not answer', true, silent, true],
    ['that was there does not stay when a wrong disk answers', true, { ...answer, nodes: ['5 9'] }, false],
    ['that was there does not stay when the answer is wrong', true, { ...answer, size: 512 }, false],
    ['that is new does not stay when the server does not answer', false, silent, false],
  ])('%s', async (_what, before, probe, stays) => {
    wasThere = before;
    found = probe;
    const code = probe.ok && probe.nodes ? 'DEVICE_IDENTITY_MISMATCH' : 'EXPORT_SERVER_UNHEALTHY';
    await expect(server.publish(wanted())).rejects.toMatchObject({
      code,
      message: expect.stringContaining(NAME),
    });
    expect(await targets()).toEqual(stays ? [join(dir, 'dev/vdb')] : []);
  });

  it('that was withdrawn while it was published is not there, and whoever published it is told', async () => {
    let withdrawn = Promise.resolve();
    meanwhile = () => {
      withdrawn = server.withdraw(NAME);
    };
    await expect(server.publish(wanted())).rejects.toThrow('was withdrawn while it was being published');
    await withdrawn;
    expect(await targets()).toEqual([]);
  });

  it('that is published for another disk meanwhile stays when the first publish ends', async () => {
    let other = Promise.resolve();
    meanwhile = () => {
      meanwhile = () => {};
      other = server.publish(wanted('vdc'));
    };
    await expect(server.publish(wanted())).rejects.toThrow('while it was being published');
    await other;
    expect(await targets()).toEqual([join(dir, 'dev/vdc')]);
  });

  it('has the name of its volume, or is none', async () => {
    await expect(server.publish({ ...wanted(), name: 'scratch' })).rejects.toThrow(
      'is not the name of an export',
    );
    expect(await targets()).toEqual([]);
  });

  it('of a disk that cannot be verified fails for that reason, and changes nothing', async () => {
    rmSync(join(dir, 'dev/vdb'));
    await expect(server.publish(wanted())).rejects.toMatchObject({ code: 'DEVICE_IDENTITY_MISMATCH' });
    expect(await targets()).toEqual([]);
  });

  it('is withdrawn for who judged it only while it is the one that was judged', async () => {
    await server.publish(wanted());
    const [judged] = await server.list();
    await server.publish(wanted('vdc'));
    for (const published of [judged?.published ?? null, null]) {
      await server.withdraw(NAME, { published });
      expect(await targets(), 'published for another disk meanwhile').toEqual([join(dir, 'dev/vdc')]);
    }
    const [now] = await server.list();
    await server.withdraw(NAME, { published: now?.published ?? null });
    expect(await targets()).toEqual([]);
  });

  it('of an earlier process is withdrawn as such', async () => {
    await server.publish(wanted());
    server = Served.make();
    const [judged] = await server.list();
    expect(judged?.published).toBeNull();
    await server.withdraw(NAME, { published: null });
    expect(await targets()).toEqual([]);
  });

  it('is withdrawn without a word to who is connected, unless they are to go', async () => {
    await server.publish(wanted());
    await server.withdraw(NAME);
    expect(cut).toEqual([]);
    await server.withdraw(NAME, { force: true });
    expect(cut, 'also those of an export that is closed already').toEqual([join(dir, 'dev/vdb')]);
    await server.withdraw(exportName(OTHER), { force: true });
    await server.withdraw('scratch', { force: true });
    expect(cut, 'nobody knows where those of others are').toHaveLength(1);
  });
});
