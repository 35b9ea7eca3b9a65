import { describe, expect, it } from 'vitest';
import { CloudError } from '~/server/cloudstack/cloud';
import { systemClock } from '~/server/core/clock';
import { DaemonError } from '~/server/core/errors';
import { checkCloudstack, type DiagnosticCloud } from '~/server/diagnostics/cloudstack';
import { checkDatabase } from '~/server/diagnostics/database';

const ALL = [
  'listCapabilities',
  'listVolumes',
  'listVirtualMachines',
  'listZones',
  'listDiskOfferings',
  'createVolume',
  'attachVolume',
  'detachVolume',
  'deleteVolume',
  'queryAsyncJobResult',
  'stopVirtualMachine',
  'destroyVirtualMachine',
];

function cloudstack(change: Partial<DiagnosticCloud> = {}, verdict = 'confirmed') {
  return checkCloudstack({
    cloud: {
      capabilities: async () => ({ version: '4.20.0.0', customDiskMinGiB: 1, customDiskMaxGiB: 1024 }),
      allowedCommands: async () => new Set(ALL),
      statistics: () => ({ clockSkewMs: 200 }),
      ...change,
    },
    clock: systemClock,
    settings: async () => ({
      name: 'production',
      endpoint: 'http://cloud/client/api',
      apiKey: 'canary-key',
      secretKey: 'canary-secret',
      zone: null,
      omaVmId: null,
    }),
    appliance: { vmId: 'vm', verdict },
  });
}

describe('check cloudstack', () => {
  it('finds nothing when the key may make every call of ours', async () => {
    const report = await cloudstack();
    expect(report).toMatchObject({
      ok: true,
      problems: [],
      version: '4.20.0.0',
      configuration: 'production',
    });
    expect(report.commands.map(({ name, allowed }) => [name, allowed])).toEqual(
      ALL.map((name) => [name, true]),
    );
  });

  it('never shows the keys', async () => {
    expect(JSON.stringify(await cloudstack())).not.toContain('canary');
  });

  it.each(ALL)('names %s when the role of the key forbids it', async (name) => {
    const allowed = new Set(ALL.filter((other) => other !== name));
    const report = await cloudstack({ allowedCommands: async () => allowed });
    expect(report.ok).toBe(false);
    expect(report.problems).toEqual([expect.stringContaining(`does not allow ${name} (needed for:`)]);
  });

  it('says why nothing answers, and asks no more', async () => {
    const refused = new CloudError('CloudStack API error 401: unable to verify', {
      kind: 'authentication',
      outcome: 'final',
    });
    let asked = 0;
    const report = await cloudstack({
      capabilities: () => Promise.reject(refused),
      allowedCommands: async () => {
        asked += 1;
        return new Set();
      },
    });
    expect(report).toMatchObject({ ok: false, problems: [refused.message], version: null });
    expect(report.commands.every(({ allowed }) => allowed === null)).toBe(true);
    expect(asked).toBe(0);
  });

  it('a CloudStack without listApis is no fault of the key', async () => {
    const unsupported = new CloudError('CloudStack API error 432', { kind: 'unsupported', outcome: 'final' });
    const report = await cloudstack({ allowedCommands: () => Promise.reject(unsupported) });
    expect(report.ok).toBe(true);
    expect(report.commands.every(({ allowed }) => allowed === null)).toBe(true);
  });

  it('finds a clock that is wrong and an appliance that CloudStack does not know', async () => {
    const report = await cloudstack({ statistics: () => ({ clockSkewMs: -700_000 }) }, 'refuted');
    expect(report.problems).toEqual([
      expect.stringContaining('the clocks differ by -700 s'),
      expect.stringContaining('CloudStack has no VM vm'),
    ]);
  });
});

describe('check database', () => {
  const database = (inspect: Parameters<typeof checkDatabase>[0]['inspect']) =>
    checkDatabase({
      clock: systemClock,
      database: 'user:***@tcp(db)/name',
      inspect,
      expected: ['001-a', '002-b'],
      pool: { inUse: 1, waiting: 0 },
      readOwner: async () => ({ owner: 'me', epoch: 2, since: 1 }),
    });
  const facts = (ids: string[], now = systemClock.now()) => ({
    version: '10.11',
    now,
    migrations: ids.map((id) => ({ id, appliedAt: 1 })),
  });

  it('finds nothing with a correct clock and our schema', async () => {
    expect(await database(async () => facts(['001-a', '002-b', '003-later']))).toMatchObject({
      ok: true,
      version: '10.11',
      owner: { epoch: 2 },
    });
  });

  it('names migrations that are missing and a clock that is wrong', async () => {
    const report = await database(async () => facts(['001-a'], systemClock.now() + 120_000));
    expect(report.problems).toEqual([
      expect.stringContaining('have not run: 002-b'),
      expect.stringMatching(/clocks differ by 1(19|20) s/),
    ]);
  });

  it('reports a database that is away', async () => {
    const report = await database(() =>
      Promise.reject(new DaemonError('DATABASE_UNAVAILABLE', 'away: refused')),
    );
    expect(report).toMatchObject({ ok: false, problems: ['away: refused'], version: null });
  });
});
