import { describe, expect, it } from 'vitest';
import { type CloudCapabilities, CloudError, type CloudOwner, type CloudVm } from '~/server/cloudstack/cloud';
import { systemClock } from '~/server/core/clock';
import { DaemonError } from '~/server/core/errors';
import { checkCloudstack, type DiagnosticCloud } from '~/server/diagnostics/cloudstack';
import { checkDatabase } from '~/server/diagnostics/database';
import { absent, seen, unknown } from '~/server/model/evidence';

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
  'resizeVolume',
  'createSnapshot',
  'listSnapshots',
  'deleteSnapshot',
  'revertSnapshot',
  'stopVirtualMachine',
  'destroyVirtualMachine',
];

const OWNER: CloudOwner = { projectId: null, account: 'migration', domainId: 'd1' };
const PROJECT: CloudOwner = { projectId: 'p1', account: null, domainId: null };
const CAPABLE: CloudCapabilities = {
  version: '4.20.0.0',
  mayExpungeVms: true,
  mayExpungeVolumes: true,
  seesDestroyedVms: true,
};
const clockSaid = (clockSkewMs: number) => () => ({ clockSkewMs, clockSkewSource: 'expires' as const });
const vm = (owner: CloudOwner): CloudVm => ({
  id: 'vm',
  name: 'appliance',
  state: 'Running',
  hypervisor: 'KVM',
  created: null,
  owner,
});

interface Situation {
  readonly settings?: () => Promise<never>;
  readonly cloud?: Partial<DiagnosticCloud>;
  readonly deleteMode?: 'expunge' | 'trash';
  readonly conflicts?: readonly string[];
  readonly contradicted?: string | null;
  readonly ownerSource?: 'environment' | 'ossea_configs';
  readonly zone?: string;
  readonly diskOfferingId?: string;
  readonly activeRows?: number;
}

function cloudstack({
  cloud,
  deleteMode = 'expunge',
  conflicts = [],
  contradicted = null,
  ownerSource,
  settings,
  ...row
}: Situation = {}) {
  return checkCloudstack({
    cloud: {
      capabilities: async () => CAPABLE,
      allowedCommands: async () => new Set(ALL),
      statistics: clockSaid(200),
      measureClock: async () => undefined,
      readVm: async () => seen(vm(OWNER), 0, 'cloudstack'),
      newVolumeOwner: async (appliance) => appliance,
      listZones: async () => [{ id: 'z1', name: 'Zurich', allocationState: 'Enabled' }],
      listDiskOfferings: async () => [{ id: 'o1', name: 'Custom', customized: true, sizeGiB: 0 }],
      ...cloud,
    },
    clock: systemClock,
    settings:
      settings ??
      (async () => ({
        name: 'production',
        endpoint: 'http://cloud/client/api',
        apiKey: 'canary-key',
        secretKey: 'canary-secret',
        zone: row.zone ?? null,
        diskOfferingId: row.diskOfferingId ?? null,
        omaVmId: null,
        owner: null,
        ownerSource: ownerSource ?? null,
        activeRows: row.activeRows ?? 1,
      })),
    deleteMode,
    appliance: {
      vmId: contradicted === null ? 'vm' : null,
      verdict: 'unverified',
      conflicts,
      contradicted,
    },
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

  it('a database that is away, which every question needs for its key, is one problem', async () => {
    const away = () => Promise.reject(new DaemonError('DATABASE_UNAVAILABLE', 'away: refused'));
    const report = await cloudstack({ settings: away, cloud: { capabilities: away } });
    expect(report).toMatchObject({ ok: false, problems: ['away: refused'] });
  });

  it('never shows the keys', async () => {
    expect(JSON.stringify(await cloudstack())).not.toContain('canary');
  });

  it.each(ALL)('names %s when the role of the key forbids it', async (name) => {
    const allowed = new Set(ALL.filter((other) => other !== name));
    const report = await cloudstack({ cloud: { allowedCommands: async () => allowed } });
    expect(report.ok).toBe(false);
    expect(report.problems).toEqual([expect.stringContaining(`does not allow ${name} (needed for:`)]);
  });

  it('says why nothing answers, and asks no more', async () => {
    const refused = new CloudError('CloudStack API error 401: unable to verify', {
      kind: 'authentication',
      outcome: 'final',
    });
    let asked = 0;
    const count = async () => {
      asked += 1;
    };
    const report = await cloudstack({
      cloud: {
        capabilities: () => Promise.reject(refused),
        allowedCommands: () => count().then(() => new Set()),
        measureClock: count,
        readVm: () => count().then(() => seen(vm(OWNER), 0, 'cloudstack')),
      },
    });
    expect(report).toMatchObject({ ok: false, problems: [refused.message], version: null });
    expect(report.commands.every(({ allowed }) => allowed === null)).toBe(true);
    expect(asked).toBe(0);
  });

  it('names a zone and a disk offering of the active row that CloudStack does not have', async () => {
    for (const zone of ['z1', 'Z1', 'Zurich'])
      expect((await cloudstack({ zone, diskOfferingId: 'O1' })).problems).toEqual([]);
    const report = await cloudstack({ zone: 'Zurich ', diskOfferingId: 'o2' });
    expect(report.ok).toBe(false);
    expect(report.problems).toEqual([
      expect.stringMatching(/^ossea_configs\.zone is "Zurich ", .* volumectl check zones/),
      expect.stringMatching(/^ossea_configs\.disk_offering_id is "o2", .* volumectl check offerings/),
    ]);
  });

  it('names a second active row: other programs may use that one', async () => {
    expect((await cloudstack({ activeRows: 2 })).problems).toEqual([
      expect.stringMatching(/^2 rows of ossea_configs are active; .* production: set is_active = 0/),
    ]);
  });

  it('a CloudStack without listApis is no fault of the key', async () => {
    const unsupported = new CloudError('CloudStack API error 432', { kind: 'unsupported', outcome: 'final' });
    const report = await cloudstack({ cloud: { allowedCommands: () => Promise.reject(unsupported) } });
    expect(report.ok).toBe(true);
    expect(report.commands.every(({ allowed }) => allowed === null)).toBe(true);
  });

  it('measures the clock, and says by how much it is wrong and in which direction', async () => {
    let measured = 0;
    const cloud = {
      measureClock: async () => {
        measured += 1;
      },
      statistics: clockSaid(-700_000),
    };
    const report = await cloudstack({ cloud });
    expect(measured).toBe(1);
    expect(report.problems).toEqual([
      expect.stringContaining("the clock of this machine is 700 s ahead of CloudStack's"),
    ]);
    expect(report).toMatchObject({ clockSkewMs: -700_000, clockSkewSource: 'expires' });
  });

  it.each([
    [
      absent('no such id', 0, 'cloudstack'),
      'refuted',
      /^CloudStack has no VM vm \(this appliance\): no such id$/,
    ],
    [
      unknown('not shown', 0, 'cloudstack'),
      'not-visible',
      /^the key does not see VM vm .*: not shown; attach and/,
    ],
  ] as const)('an appliance that is %o', async (evidence, verdict, problem) => {
    const report = await cloudstack({
      cloud: { readVm: async () => evidence, newVolumeOwner: async () => null },
    });
    expect(report.appliance).toEqual({ vmId: 'vm', verdict, owner: null });
    expect(report.problems).toEqual([expect.stringMatching(problem)]);
  });

  it('says whose new volumes will be, and when they cannot be attached to this appliance', async () => {
    expect(await cloudstack()).toMatchObject({
      ok: true,
      appliance: { verdict: 'confirmed', owner: OWNER },
      newVolumes: { owner: OWNER, from: 'appliance' },
    });
    expect((await cloudstack({ cloud: { newVolumeOwner: async () => null } })).newVolumes).toEqual({
      owner: null,
      from: 'key',
    });
    const wrong = await cloudstack({
      cloud: { newVolumeOwner: async () => PROJECT },
      ownerSource: 'environment',
    });
    expect(wrong.newVolumes).toEqual({ owner: PROJECT, from: 'environment' });
    expect(wrong.problems).toEqual([
      'new volumes are made for project p1 (environment), but this appliance belongs to account migration of domain d1: they cannot be attached to it',
    ]);
  });

  it('the rights of a user and of a root administrator', async () => {
    const rightsOf = async (situation: Situation) =>
      (await cloudstack(situation)).rights.map(({ allowed }) => allowed);
    const user = { ...CAPABLE, mayExpungeVms: false };
    expect(await rightsOf({ cloud: { capabilities: async () => user } })).toEqual([
      false,
      true,
      false,
      false,
    ]);
    const all = new Set([...ALL, 'updateVolume', 'updateConfiguration']);
    expect(await rightsOf({ cloud: { allowedCommands: async () => all } })).toEqual([true, true, true, true]);
  });

  it('with DELETE_MODE=trash: destroyVolume is needed, and the right to recover', async () => {
    const capabilities = async () => ({ ...CAPABLE, mayExpungeVolumes: false });
    expect((await cloudstack({ deleteMode: 'trash', cloud: { capabilities } })).problems).toEqual([
      'the role of the key does not allow destroyVolume (needed for: delete with DELETE_MODE=trash)',
      'the role of the key does not allow recoverVolume (needed for: recover, with DELETE_MODE=trash)',
      expect.stringContaining('DELETE_MODE=trash cannot be undone'),
    ]);
  });

  it('a conflict about the identity of the appliance is a problem', async () => {
    expect((await cloudstack({ conflicts: ['ossea_configs says b'] })).problems).toEqual([
      'ossea_configs says b',
    ]);
  });

  it('a machine that is another VM than its settings name is told so, not to set what is set', async () => {
    expect((await cloudstack({ contradicted: 'this machine is a copy' })).problems).toEqual([
      'it is not known which VM this is: this machine is a copy',
    ]);
  });
});

describe('check database', () => {
  type Parts = Parameters<typeof checkDatabase>[0];
  const database = (inspect: Parts['inspect'], unsettled: Parts['unsettled'] = null) =>
    checkDatabase({
      unsettled,
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
    expect(await database(async () => facts(['001-a', '002-b']))).toMatchObject({
      ok: true,
      version: '10.11',
      owner: { epoch: 2 },
    });
  });

  it('names migrations of a newer version, with which this one takes no appliance', async () => {
    expect(await database(async () => facts(['001-a', '002-b', '003-later']))).toMatchObject({
      ok: false,
      problems: [expect.stringContaining('of a newer version have run: 003-later')],
    });
  });

  it('is not content with a database that answers and is not taken, as one from before', async () => {
    const report = await database(async () => facts(['001-a', '002-b']), 'it is older than what was written');
    expect(report).toMatchObject({ ok: false, problems: ['it is older than what was written'] });
  });

  it('names migrations that are missing and a clock that is wrong', async () => {
    const report = await database(async () => facts(['001-a'], systemClock.now() + 120_000));
    expect(report.problems).toEqual([
      expect.stringContaining('have not run: 002-b'),
      expect.stringMatching(/clock of this machine is 1(19|20) s behind the database's/),
    ]);
    const ahead = await database(async () => facts(['001-a', '002-b'], systemClock.now() - 120_000));
    expect(ahead.problems).toEqual([
      expect.stringMatching(/clock of this machine is 120 s ahead of the database's/),
    ]);
  });

  it('reports a database that is away', async () => {
    const report = await database(() =>
      Promise.reject(new DaemonError('DATABASE_UNAVAILABLE', 'away: refused')),
    );
    expect(report).toMatchObject({ ok: false, problems: ['away: refused'], version: null });
  });
});
