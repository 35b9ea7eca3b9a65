import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { sameOwner } from '~/server/cloudstack/cloud';
import { CloudSettings } from '~/server/cloudstack/settings';
import { systemClock } from '~/server/core/clock';
import { silentLogger } from '~/server/core/log/logger';
import type { OsseaConfigRow } from '~/server/model/ossea-config';
import { ManualClock } from '../devices/manual-clock';
import { type CannedServer, cannedClient, configRow, fails, ok, startCannedServer } from './canned-server';

const VM = 'aaaaaaaa-1111-4111-8111-aaaaaaaaaaaa';
const JOB = '11112222-3333-4444-8555-666677778888';
const ACCOUNT = { projectId: null, account: 'migration', domainId: 'd1' };
const PROJECT = { projectId: 'p1', account: null, domainId: null };

let server: CannedServer;
beforeAll(async () => {
  server = await startCannedServer();
});
afterAll(() => server.stop());
beforeEach(() => {
  server.requests.length = 0;
});

const sent = () => server.requests.map(({ parameters }) => parameters.get('command'));
const cloudOf = (row: Partial<OsseaConfigRow> = {}) =>
  cannedClient([configRow({ apiUrl: server.url, ...row })]).cloud;

/** A server whose listCapabilities and listApis say this. */
function keyOf(capability: Record<string, unknown>, apis: readonly string[] | null): void {
  server.script = ({ parameters }) => {
    if (parameters.get('command') === 'listCapabilities') return ok('listCapabilities', { capability });
    if (apis === null) return fails('listApis', 432, 'not available');
    return ok('listApis', { count: apis.length, api: apis.map((name) => ({ name })) });
  };
}
const USER = { allowuserexpungerecovervm: false, allowuserviewdestroyedvm: false };
const ADMIN = { allowuserexpungerecovervm: true, allowuserviewdestroyedvm: true };

describe('who is named as the owner of a new volume', () => {
  it("a user's key is known by its capabilities, and its list of commands is not read", async () => {
    keyOf(USER, ['updateVolume']);
    expect(await cloudOf().newVolumeOwner(ACCOUNT)).toBeNull();
    expect(sent()).toEqual(['listCapabilities']);
  });

  it('an administrator is known by updateVolume, asked for once', async () => {
    keyOf(ADMIN, ['listVolumes', 'updateVolume']);
    const cloud = cloudOf();
    expect([await cloud.newVolumeOwner(ACCOUNT), await cloud.newVolumeOwner(ACCOUNT)]).toEqual([
      ACCOUNT,
      ACCOUNT,
    ]);
    expect(sent()).toEqual(['listCapabilities', 'listApis']);
  });

  it('a key that was given another role is asked about again after an hour', async () => {
    keyOf(ADMIN, ['updateVolume']);
    const clock = new ManualClock();
    const { cloud } = cannedClient([configRow({ apiUrl: server.url })], null, { clock });
    expect(await cloud.newVolumeOwner(ACCOUNT)).toEqual(ACCOUNT);
    keyOf(USER, []);
    await clock.advance(60 * 60_000 - 1);
    expect(await cloud.newVolumeOwner(ACCOUNT)).toEqual(ACCOUNT);
    await clock.advance(1);
    expect(await cloud.newVolumeOwner(ACCOUNT)).toBeNull();
  });

  it('an administrator is still one when nothing but that question is answered with 401 after the hour', async () => {
    keyOf(ADMIN, ['updateVolume']);
    const clock = new ManualClock();
    const { cloud } = cannedClient([configRow({ apiUrl: server.url })], null, { clock });
    expect(await cloud.newVolumeOwner(ACCOUNT)).toEqual(ACCOUNT);
    const { script } = server;
    server.script = (request, ...more) =>
      request.parameters.get('command') === 'listApis'
        ? fails('listApis', 401, 'unable to')
        : script(request, ...more);
    await clock.advance(60 * 60_000);
    await expect(cloud.newVolumeOwner(ACCOUNT)).rejects.toMatchObject({ kind: 'authentication' });
    expect(await cloud.newVolumeOwner(ACCOUNT)).toEqual(ACCOUNT);
    keyOf(ADMIN, ['listVolumes']);
    expect(await cloud.newVolumeOwner(ACCOUNT)).toBeNull();
  });

  it('a server that lets every user expunge: the commands decide', async () => {
    keyOf(ADMIN, ['listVolumes']);
    expect(await cloudOf().newVolumeOwner(ACCOUNT)).toBeNull();
  });

  it('without listApis nobody is taken for an administrator; while CloudStack is away nothing is decided', async () => {
    keyOf({}, null);
    expect(await cloudOf().newVolumeOwner(ACCOUNT)).toBeNull();
    server.script = () => ({ status: 503 });
    await expect(cloudOf().newVolumeOwner(ACCOUNT)).rejects.toMatchObject({ kind: 'network' });
  });

  it.each([
    [401, 'unable to verify user credentials and/or request signature', 'authentication'],
    [530, 'Internal error executing command, please contact your system administrator', 'internal'],
  ])(
    "an error of a moment (%i) does not make an administrator's key that of a user: it is asked again",
    async (code, text, kind) => {
      const cloud = cloudOf();
      keyOf(ADMIN, ['updateVolume']);
      const { script } = server;
      server.script = (request, ...more) =>
        request.parameters.get('command') === 'listApis'
          ? fails('listApis', code, text)
          : script(request, ...more);
      const both = await Promise.allSettled([cloud.newVolumeOwner(ACCOUNT), cloud.newVolumeOwner(ACCOUNT)]);
      expect(both).toMatchObject([{ reason: { kind } }, { reason: { kind } }]);
      server.script = script;
      expect(await cloud.newVolumeOwner(ACCOUNT)).toEqual(ACCOUNT);
    },
  );

  it('a server that has no listApis answers 401 to it every time: nobody is named, and nothing kept', async () => {
    const cloud = cloudOf();
    keyOf(ADMIN, ['updateVolume']);
    const { script } = server;
    server.script = (request, ...more) =>
      request.parameters.get('command') === 'listApis'
        ? fails('listApis', 401, 'unable to')
        : script(request, ...more);
    await expect(cloud.newVolumeOwner(ACCOUNT)).rejects.toMatchObject({ kind: 'authentication' });
    expect([await cloud.newVolumeOwner(ACCOUNT), await cloud.newVolumeOwner(ACCOUNT)]).toEqual([null, null]);
    server.script = script;
    expect(await cloud.newVolumeOwner(ACCOUNT)).toEqual(ACCOUNT);
  });

  it('of an appliance whose account is not shown nobody is named, whatever the key may', async () => {
    keyOf(ADMIN, ['updateVolume']);
    expect(await cloudOf().newVolumeOwner({ ...ACCOUNT, account: null })).toBeNull();
  });

  it('a project needs no right, and what is configured wins: nothing is asked', async () => {
    expect(await cloudOf().newVolumeOwner({ ...PROJECT, domainId: 'd1' })).toEqual(PROJECT);
    expect(await cloudOf({ projectId: 'p1' }).newVolumeOwner(ACCOUNT)).toEqual(PROJECT);
    expect(await cloudOf({ account: 'migration', domainId: 'd1' }).newVolumeOwner(null)).toEqual(ACCOUNT);
    expect(server.requests).toEqual([]);
  });

  it.each([
    [PROJECT, { projectid: 'p1' }],
    [ACCOUNT, { account: 'migration', domainid: 'd1' }],
    [null, {}],
  ])('%o is sent as %o', async (owner, parameters) => {
    server.script = () => ok('createVolume', { id: VM, jobid: JOB });
    const create = {
      name: 'createVolume' as const,
      volumeName: 'v',
      zoneId: 'z',
      diskOfferingId: 'o',
      sizeGiB: 1,
    };
    await cloudOf().submit({ ...create, owner }, JOB);
    const all = Object.fromEntries(server.requests[0]?.parameters ?? []);
    const { projectid, account, domainid } = all;
    expect({ projectid, account, domainid }).toEqual({
      projectid: undefined,
      account: undefined,
      domainid: undefined,
      ...parameters,
    });
  });
});

describe('the configured owner', () => {
  const read = (row: Partial<OsseaConfigRow>, owner: typeof PROJECT | null = null) => {
    const parts = { encryptionKey: null, register: () => {}, clock: systemClock, logger: silentLogger };
    return new CloudSettings({ ...parts, owner, readRows: async () => [configRow(row)] }).active();
  };

  it('the environment wins over the row, and a row without one says nothing', async () => {
    expect(await read({})).toMatchObject({ owner: null, ownerSource: null });
    expect(await read({ account: 'migration', domainId: 'd1' })).toMatchObject({
      owner: ACCOUNT,
      ownerSource: 'ossea_configs',
    });
    expect(await read({ account: 'migration', domainId: 'd1' }, PROJECT)).toMatchObject({
      owner: PROJECT,
      ownerSource: 'environment',
    });
    expect(
      await read({ projectId: 'p1', domainId: 'd1' }),
      'the domain of a project is not sent',
    ).toMatchObject({
      owner: PROJECT,
    });
  });

  it('is the one that CloudStack shows, also where the row has it in capitals', async () => {
    const settings = await read({ account: 'Migration', domainId: 'D1' });
    expect(sameOwner(settings?.owner ?? PROJECT, ACCOUNT)).toBe(true);
    expect(sameOwner((await read({ projectId: 'P1' }))?.owner ?? ACCOUNT, PROJECT)).toBe(true);
    expect([sameOwner({ ...ACCOUNT, account: 'Migration2' }, ACCOUNT), sameOwner(PROJECT, ACCOUNT)]).toEqual([
      false,
      false,
    ]);
    expect(sameOwner({ ...ACCOUNT, domainId: 'd2' }, ACCOUNT)).toBe(false);
  });

  it.each([
    [{ account: 'a' }, 'account needs domain_id (ossea_configs row main)'],
    [{ account: 'a', domainId: 'd', projectId: 'p' }, 'project_id and account exclude each other'],
  ])('%o is a mistake that is named', async (row, text) => {
    await expect(read(row)).rejects.toMatchObject({
      kind: 'configuration',
      message: expect.stringContaining(text),
    });
  });
});

describe("a domain administrator's key, which sees other accounts only without projectid", () => {
  const [OWN, THEIRS] = ['bbbbbbbb-1111-4111-8111-bbbbbbbbbbbb', 'cccccccc-1111-4111-8111-cccccccccccc'];

  it('an object is looked for both ways, and from then on lists are read both ways', async () => {
    server.script = ({ parameters }) => {
      const shown = parameters.has('projectid') ? [OWN] : [OWN, THEIRS];
      const id = parameters.get('id');
      const found = shown.filter((one) => id === null || one === id).map((one) => ({ id: one, name: 'v' }));
      const command = parameters.get('command') ?? '';
      const key = command === 'listVolumes' ? 'volume' : 'virtualmachine';
      return ok(command, found.length === 0 ? {} : { count: found.length, [key]: found });
    };
    const cloud = cloudOf();
    const ids = async () => (await cloud.listVolumes({})).map(({ id }) => id);
    expect(await ids()).toEqual([OWN]);
    expect((await cloud.readVm(OWN)).kind).toBe('seen');
    expect(server.requests, 'one call each').toHaveLength(2);
    expect((await cloud.readVm(THEIRS)).kind).toBe('seen');
    expect(await ids()).toEqual([OWN, THEIRS]);
    expect((await cloud.readVm(JOB)).kind).toBe('unknown');
  });
});
