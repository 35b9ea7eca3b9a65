import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { CloudError } from '~/server/cloudstack/cloud';
import { createAgents } from '~/server/cloudstack/wire/fetch-through';
import { createSender, post } from '~/server/cloudstack/wire/transport';
import { LIMITS } from '~/server/core/limits';
import { withLimits } from '~/test/support/with-limits';
import {
  type CannedAnswer,
  type CannedClient,
  type CannedServer,
  cannedClient,
  configRow,
  fails,
  ok,
  startCannedServer,
} from './canned-server';

const VOLUME = '0f3c9a51-7be2-4d60-9a44-c1d2e3f40516';
const VM = 'aaaaaaaa-1111-4111-8111-aaaaaaaaaaaa';
const JOB = '11112222-3333-4444-8555-666677778888';

let server: CannedServer;
let client: CannedClient;

beforeAll(async () => {
  server = await startCannedServer();
});
afterAll(() => server.stop());
beforeEach(() => {
  server.requests.length = 0;
  client = cannedClient([configRow({ apiUrl: server.url })]);
});

const say = (answer: CannedAnswer) => {
  server.script = () => answer;
};
const attach = () =>
  client.cloud.submit({ name: 'attachVolume', volumeId: VOLUME, vmId: VM, deviceId: null }, JOB);

/** The CloudError that the call ends with. */
async function refused(call: Promise<unknown>): Promise<CloudError> {
  const error = await call.then(
    (value) => new Error(`it succeeded: ${JSON.stringify(value)}`),
    (reason: unknown) => reason,
  );
  if (error instanceof CloudError) return error;
  throw error;
}

describe('what is sent', () => {
  it('a signed POST with the parameters in the body, nothing in the URL', async () => {
    say(ok('attachVolume', { jobid: JOB }));
    expect(await attach()).toEqual({ jobId: JOB, volumeId: null, snapshotId: null });
    const [request] = server.requests;
    expect(request).toMatchObject({ method: 'POST', url: '/client/api' });
    expect(Object.fromEntries(request?.parameters ?? [])).toMatchObject({
      command: 'attachVolume',
      id: VOLUME,
      virtualmachineid: VM,
      customjobid: JOB,
      apikey: 'the-api-key',
      signatureversion: '3',
      response: 'json',
      signature: expect.stringMatching(/^[A-Za-z0-9+/]{27}=$/),
      expires: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+0000$/),
    });
    expect(request?.parameters.has('deviceid')).toBe(false);
  });

  it('the device id only when it is asked for, the size only when the offering leaves it open', async () => {
    say(ok('attachVolume', { jobid: JOB }));
    await client.cloud.submit({ name: 'attachVolume', volumeId: VOLUME, vmId: VM, deviceId: 0 }, JOB);
    say(ok('createVolume', { id: VOLUME.toUpperCase(), jobid: JOB }));
    const create = {
      name: 'createVolume' as const,
      volumeName: 'ä b',
      zoneId: 'z',
      diskOfferingId: 'o',
      owner: null,
    };
    expect(await client.cloud.submit({ ...create, sizeGiB: 7 }, JOB)).toEqual({
      jobId: JOB,
      volumeId: VOLUME,
      snapshotId: null,
    });
    await client.cloud.submit({ ...create, sizeGiB: null }, JOB);
    const [first, second, third] = server.requests.map(({ parameters }) => parameters);
    expect([first?.get('deviceid'), second?.get('size'), third?.get('size')]).toEqual(['0', '7', null]);
    expect(second?.get('name')).toBe('ä b');
  });
});

describe('lists', () => {
  const volume = (index: number) => ({
    id: `${String(index).padStart(8, '0')}-0000-4000-8000-000000000000`,
    name: 'v',
  });

  it('an empty list is an empty object, a page past the end a count without a list', async () => {
    say(ok('listVolumes', {}));
    expect(await client.cloud.listVolumes({})).toEqual([]);
    say(ok('listVolumes', { count: 12 }));
    expect(await client.cloud.listVolumes({})).toEqual([]);
    expect(await client.cloud.readVolume(VOLUME)).toMatchObject({ kind: 'unknown', by: 'cloudstack' });
  });

  it('every page is read, and an exact multiple of the page size ends with a page past the end', async () => {
    const total = 2 * LIMITS.CLOUDSTACK_PAGE_SIZE;
    server.script = ({ parameters }) => {
      const [page, size] = [Number(parameters.get('page')), Number(parameters.get('pagesize'))];
      const shown = Array.from({ length: total }, (_, index) => volume(index)).slice(
        (page - 1) * size,
        page * size,
      );
      return ok('listVolumes', shown.length === 0 ? { count: total } : { count: total, volume: shown });
    };
    expect(await client.cloud.listVolumes({})).toHaveLength(total);
    expect(server.requests).toHaveLength(3);
    expect(server.requests.every(({ parameters }) => parameters.get('listall') === 'true')).toBe(true);
  });

  it('a row that moves to the next page while pages are read is listed once', async () => {
    const size = LIMITS.CLOUDSTACK_PAGE_SIZE;
    const pages = [
      Array.from({ length: size }, (_, index) => volume(index)),
      [volume(size - 1), volume(size)],
    ];
    server.script = (_request, index) => ok('listVolumes', { count: size + 1, volume: pages[index] });
    expect(await client.cloud.listVolumes({})).toHaveLength(size + 1);
  });

  it('a row that moves to a page that was read already is not left out', async () => {
    const size = LIMITS.CLOUDSTACK_PAGE_SIZE;
    const rows = Array.from({ length: size + 2 }, (_, index) => volume(index));
    server.script = ({ parameters }, index) => {
      // Somebody deletes the first one after the first page was read.
      const now = index === 0 ? rows : rows.slice(1);
      const from = (Number(parameters.get('page')) - 1) * size;
      return ok('listVolumes', { count: now.length, volume: now.slice(from, from + size) });
    };
    const ids = (await client.cloud.listVolumes({})).map(({ id }) => id);
    expect(ids).toEqual(rows.slice(1).map(({ id }) => id));
  });

  it('a count that shrinks with every page does not make it read without end', async () => {
    const size = LIMITS.CLOUDSTACK_PAGE_SIZE;
    const rows = Array.from({ length: size + 2 }, (_, index) => volume(index));
    server.script = ({ parameters }) => {
      const from = (Number(parameters.get('page')) - 1) * size;
      const shown = rows.slice(from, from + size);
      return ok('listVolumes', { count: shown.length, volume: shown });
    };
    expect(await client.cloud.listVolumes({})).toHaveLength(rows.length);
    expect(server.requests).toHaveLength(2 * LIMITS.CLOUDSTACK_LIST_READS);
  });

  it('a server with a smaller page size is asked again with its own, and from then on', async () => {
    server.script = ({ parameters }) =>
      Number(parameters.get('pagesize')) > 20
        ? fails('listVolumes', 431, "Page size can't exceed max allowed page size value: 20")
        : ok('listVolumes', { count: 1, volume: [volume(1)] });
    expect(await client.cloud.listVolumes({})).toHaveLength(1);
    expect(await client.cloud.listVolumes({})).toHaveLength(1);
    expect(server.requests.map(({ parameters }) => parameters.get('pagesize'))).toEqual(['500', '20', '20']);
  });

  it.each([
    ['by the size that it gives', true],
    ['by the size that is asked for', false],
  ])('a server that cuts pages without a word and counts %s is read to the end', async (_how, byOwn) => {
    const rows = Array.from({ length: 45 }, (_, index) => volume(index));
    server.script = ({ parameters }) => {
      const [page, asked] = [Number(parameters.get('page')), Number(parameters.get('pagesize'))];
      const from = (page - 1) * (byOwn ? Math.min(asked, 20) : asked);
      return ok('listVolumes', { count: rows.length, volume: rows.slice(from, from + Math.min(asked, 20)) });
    };
    expect(await client.cloud.listVolumes({})).toHaveLength(rows.length);
  });

  it('a count that is too large ends the list all the same', async () => {
    server.script = ({ parameters }) =>
      ok('listVolumes', { count: 9, volume: parameters.get('page') === '1' ? [volume(1), volume(2)] : [] });
    expect(await client.cloud.listVolumes({})).toHaveLength(2);
    expect(server.requests).toHaveLength(3);
  });

  it('what was not asked for is not taken: an offering of another id, a snapshot of another volume', async () => {
    const other = { id: VM, name: 'other', iscustomized: true };
    say(ok('listDiskOfferings', { count: 1, diskoffering: [other] }));
    expect(await client.cloud.readDiskOffering(VOLUME)).toBeNull();
    expect(await client.cloud.readDiskOffering(VM.toUpperCase())).toMatchObject({ name: 'other' });
    const snapshots = [VOLUME, VM, undefined].map((volumeid, index) => ({ id: `s-${index}`, volumeid }));
    say(ok('listSnapshots', { count: 3, snapshot: snapshots }));
    const listed = await client.cloud.listSnapshots({ volumeId: VOLUME.toUpperCase() });
    expect(listed.map(({ id }) => id)).toEqual(['s-0']);
  });

  it('a list that never ends is given up', async () => {
    const full = Array.from({ length: LIMITS.CLOUDSTACK_PAGE_SIZE }, (_, index) => volume(index));
    say(ok('listZones', { count: 1e6, zone: full }));
    expect((await refused(client.cloud.listZones())).message).toContain(
      `more than ${LIMITS.CLOUDSTACK_PAGES} pages`,
    );
    expect(server.requests).toHaveLength(LIMITS.CLOUDSTACK_PAGES);
  });

  it('types that drift between versions are read, what is absent is null', async () => {
    say(
      ok('listVolumes', {
        count: 1,
        volume: [
          {
            id: VOLUME.toUpperCase(),
            name: 7,
            size: '5368709120',
            state: 'Ready',
            created: '2024-11-04T09:00:00+0100',
            deviceid: 3,
            zoneid: 9,
            deleteprotection: 'true',
            surprise: {},
          },
        ],
      }),
    );
    const read = await client.cloud.readVolume(VOLUME);
    expect(read.kind === 'seen' && read.value).toEqual({
      id: VOLUME,
      name: '7',
      type: 'DATADISK',
      state: 'Ready',
      size: 5368709120,
      zoneId: '9',
      zoneName: null,
      diskOfferingId: null,
      vmId: null,
      vmName: null,
      vmState: null,
      owner: { projectId: null, account: null, domainId: null },
      // A device id without a VM is a left-over.
      deviceId: null,
      created: '2024-11-04T08:00:00.000Z',
      attached: null,
      deleteProtection: true,
    });
  });

  it('an answer with a row without an id is refused', async () => {
    say(ok('listVolumes', { count: 1, volume: [{ name: 'no id' }] }));
    const error = await refused(client.cloud.listVolumes({}));
    expect([error.kind, error.outcome, error.message]).toEqual([
      'network',
      'unknown',
      expect.stringContaining('unexpected content'),
    ]);
  });

  it('a volume is gone only when the server says so of this very id', async () => {
    const text = (value: string) =>
      `Unable to execute API command listvolumes due to invalid value. Invalid parameter id value=${value} due to incorrect long value format, or entity does not exist or due to incorrect parameter annotation for the field in api cmd class.`;
    const kind = async () => (await client.cloud.readVolume(VOLUME)).kind;
    say(fails('listVolumes', 431, text(VOLUME), 9999));
    expect(await kind()).toBe('absent');
    say(fails('listVolumes', 431, text(VM), 9999));
    expect((await refused(client.cloud.readVolume(VOLUME))).code).toBe(431);
    say(fails('listVolumes', 431, 'Unable to find volume', 9999));
    expect((await refused(client.cloud.readVolume(VOLUME))).code).toBe(431);
    say(ok('listVolumes', { count: 1, volume: [{ id: VOLUME, state: 'Expunged' }] }));
    expect(await kind()).toBe('absent');
    say(ok('listVolumes', { count: 1, volume: [{ id: VM, state: 'Ready' }] }));
    expect(await kind(), 'another volume is no answer').toBe('unknown');
    say(ok('listVolumes', {}));
    expect(await kind(), 'an empty list is no answer').toBe('unknown');
  });

  it('the same for a VM, which tells its state and its owner', async () => {
    const owner = { account: 'a', domainid: 'd' };
    say(
      ok('listVirtualMachines', {
        count: 1,
        virtualmachine: [{ id: VM, name: 'vm', state: 'Stopping', ...owner }],
      }),
    );
    expect(await client.cloud.readVm(VM)).toMatchObject({
      kind: 'seen',
      value: { id: VM, state: 'Stopping', owner: { projectId: null, account: 'a', domainId: 'd' } },
    });
    say(ok('listVirtualMachines', {}));
    expect((await client.cloud.readVm(VM)).kind).toBe('unknown');
  });

  it('a zone is found by its id or its name', async () => {
    say(ok('listZones', { count: 1, zone: [{ id: VM, name: 'zone-1', allocationstate: 'Enabled' }] }));
    const zone = { id: VM, name: 'zone-1', allocationState: 'Enabled' };
    expect([await client.cloud.readZone('zone-1'), await client.cloud.readZone(VM.toUpperCase())]).toEqual([
      zone,
      zone,
    ]);
    expect(await client.cloud.readZone('zone-2')).toBeNull();
  });
});

/**
 * What each error says about trying again and about the effect of a change (docs: facts of CloudStack 4.20).
 */
const ERRORS: readonly [code: number, text: string, kind: string, outcome: string, transient: boolean][] = [
  [400, 'State changing command needs POST', 'unsupported', 'final', false],
  [405, 'method', 'unsupported', 'final', false],
  [
    429,
    'The given user has reached his/her account api limit, please retry after [1500] ms.',
    'rate-limit',
    'not-started',
    true,
  ],
  [430, 'malformed', 'unsupported', 'final', false],
  [431, 'Please specify a volume that is not attached to any VM.', 'parameter', 'final', false],
  [431, 'Please specify a VM that is either running or stopped.', 'busy', 'not-started', true],
  [
    431,
    'There are snapshot operations in progress on the volume, unable to delete it',
    'busy',
    'not-started',
    true,
  ],
  [432, 'unsupported', 'unsupported', 'final', false],
  [530, 'Failed to attach volume', 'internal', 'unknown', true],
  [530, 'A shutdown has been triggered. Can not accept new jobs', 'internal', 'not-started', true],
  [531, 'Please check your permissions', 'permission', 'final', false],
  [532, 'limit', 'quota', 'final', false],
  [533, 'no capacity', 'capacity', 'unknown', true],
  [534, 'storage pool unavailable', 'resource', 'unknown', true],
  [535, "Maximum amount of resources of Type = 'volume' exceeded", 'quota', 'final', false],
  [536, 'in use', 'resource', 'unknown', true],
];

describe('errors of CloudStack', () => {
  it.each(ERRORS)('%i "%s": %s, %s', async (code, text, kind, outcome, transient) => {
    say(fails('attachVolume', code, text));
    const error = await refused(attach());
    expect([error.kind, error.outcome, error.transient, error.code, error.httpStatus]).toEqual([
      kind,
      outcome,
      transient,
      code,
      code,
    ]);
    expect(error.message).toBe(`CloudStack API error ${code}: ${text}`);
    expect(server.requests, 'a change is never sent twice').toHaveLength(1);
  });

  it('431 with "job id taken" proves that an earlier try arrived', async () => {
    say(fails('attachVolume', 431, `UUID: ${JOB} already exists so can't create/update with custom id`));
    const error = await refused(attach());
    expect([error.code, error.outcome]).toEqual([431, 'taken']);
    say(fails('attachVolume', 431, `UUID: ${VM} already exists so can't create/update with custom id`));
    expect((await refused(attach())).outcome, 'another id').toBe('final');
    say(fails('attachVolume', 530, 'Entity already exists '));
    expect((await refused(attach())).outcome, 'of a job that has ended, as root is told').toBe('taken');
    say(
      fails('attachVolume', 530, 'Internal error executing command, please contact your cloud administrator'),
    );
    expect((await refused(attach())).outcome, 'the same as a user is told').toBe('unknown');
  });

  it('the delay of a 429 comes from the text, else from the header, in seconds or as a date', async () => {
    const limited = (headers: Record<string, string>) => ({
      status: 429,
      headers,
      body: '<html>slow down</html>',
    });
    say({ ...fails('attachVolume', 429, 'please retry after [1500] ms.'), headers: { 'retry-after': '60' } });
    expect((await refused(attach())).retryAfterMs).toBe(1_500);
    say(limited({ 'retry-after': '7' }));
    expect(await refused(attach())).toMatchObject({
      kind: 'rate-limit',
      outcome: 'not-started',
      retryAfterMs: 7_000,
    });
    say(limited({ 'retry-after': new Date(Date.now() + 90_000).toUTCString() }));
    const { retryAfterMs } = await refused(attach());
    expect(retryAfterMs).toBeGreaterThan(0);
    expect(retryAfterMs).toBeLessThanOrEqual(90_000);
    say(limited({ 'retry-after': 'soon' }));
    expect((await refused(attach())).retryAfterMs).toBeNull();
    say(limited({}));
    expect((await refused(attach())).retryAfterMs).toBeNull();
  });

  it('texts lose control characters and credentials, and are bounded', async () => {
    const raw = `bad\u0000 \u001b[31mthing apiKey=abc123&signature=xyz ${'x'.repeat(5_000)}`;
    say(fails('attachVolume', 530, raw));
    const { text } = await refused(attach());
    expect(text.startsWith('bad   [31mthing apiKey=***&signature=***')).toBe(true);
    expect(text).toHaveLength(1_000);
  });

  it('an error inside HTTP 200, and one without its own number, are errors', async () => {
    say({ ...fails('attachVolume', 431, 'no'), status: 200 });
    expect((await refused(attach())).code).toBe(431);
    say({ status: 531, body: JSON.stringify({ errorresponse: { errorcode: '531', errortext: 'no' } }) });
    expect(await refused(attach())).toMatchObject({ kind: 'permission', csCode: null });
  });
});

describe('a call that changes something', () => {
  const kept = new Error('the lease has ended');
  /** Each of them, asked whether it may leave. */
  const CALLS: readonly [string, (departs: () => void) => Promise<unknown>][] = [
    ['submit', (departs) => client.cloud.submit({ name: 'detachVolume', volumeId: VOLUME }, JOB, departs)],
    ['deleteVolume', (departs) => client.cloud.deleteVolume(VOLUME, departs)],
    ['recoverVolume', (departs) => client.cloud.recoverVolume(VOLUME, departs)],
  ];

  it.each(CALLS)(
    'is kept back when it may not leave any more once the credentials were read: %s',
    async (_name, call) => {
      say(fails('any', 530, 'it was sent'));
      let mayLeave = true;
      const { settings } = client;
      const require = settings.require.bind(settings);
      settings.require = async () => {
        const active = await require();
        mayLeave = false;
        return active;
      };
      const departs = () => {
        if (!mayLeave) throw kept;
      };
      await expect(call(departs)).rejects.toBe(kept);
      expect(server.requests).toEqual([]);
    },
  );

  it.each(CALLS)('nor is it sent again after a 401 then: %s', async (_name, call) => {
    say(fails('any', 401, 'unable to verify user credentials'));
    let asked = 0;
    client.rows = [configRow({ apiUrl: server.url, apiKey: 'another' })];
    const departs = () => {
      asked += 1;
      if (asked > 1) throw kept;
    };
    await client.settings.require();
    client.rows = [configRow({ apiUrl: server.url, apiKey: 'a third' })];
    await expect(call(departs)).rejects.toBe(kept);
    expect(server.requests).toHaveLength(1);
  });
});

describe('401', () => {
  const unauthorized = fails(
    'listCapabilities',
    401,
    'unable to verify user credentials and/or request signature',
  );
  const capable = ok('listCapabilities', { capability: { cloudstackversion: '4.20.0.0' } });

  it('new credentials in the table are taken and used at once', async () => {
    server.script = ({ parameters }) => (parameters.get('apikey') === 'the-api-key' ? unauthorized : capable);
    await client.settings.active();
    client.rows = [configRow({ apiUrl: server.url, apiKey: 'the-new-key' })];
    expect((await client.cloud.capabilities()).version).toBe('4.20.0.0');
    expect([server.requests.length, client.readings]).toEqual([2, 2]);
  });

  it('with the same credentials nothing was done and it may pass; one reading, and it says what to look at', async () => {
    say(unauthorized);
    const error = await refused(client.cloud.capabilities());
    expect(error).toMatchObject({
      kind: 'authentication',
      outcome: 'not-started',
      transient: true,
      code: 401,
    });
    expect(error.message).toMatch(
      /^CloudStack API error 401: .*api_key and secret_key.*clock.*source addresses.*database/,
    );
    expect([server.requests.length, client.readings]).toEqual([1, 2]);
  });

  it('when the new credentials are wrong too, there is no third try', async () => {
    say(unauthorized);
    await client.settings.active();
    client.rows = [configRow({ apiUrl: server.url, apiKey: 'also-wrong' })];
    expect((await refused(client.cloud.capabilities())).code).toBe(401);
    expect(server.requests).toHaveLength(2);
  });

  it('clocks that differ are named, even when no call ever succeeded', async () => {
    say({ ...unauthorized, headers: { date: new Date(Date.now() - 3_600_000).toUTCString() } });
    expect((await refused(client.cloud.capabilities())).message).toMatch(
      / And the clock of this machine is 3(599|60\d) s ahead of CloudStack's\.$/,
    );
    expect(client.cloud.statistics()).toMatchObject({ calls: 2, errors: 2, clockSkewSource: 'date-header' });
    say({ ...unauthorized, headers: { date: new Date().toUTCString() } });
    expect((await refused(client.cloud.capabilities())).message).not.toContain('And the clock');
  });

  it('a Date that is wrong is no proof: what it led to is sent once and forgotten', async () => {
    const headers = { date: new Date(Date.now() - 3_600_000).toUTCString() };
    say({ ...unauthorized, headers });
    await refused(client.cloud.capabilities());
    const expiries = server.requests.map(
      ({ parameters }) => Date.parse(parameters.get('expires') ?? '') - Date.now(),
    );
    expect(expiries.map((ahead) => Math.round(ahead / 60_000))).toEqual([10, -50]);
    say({ ...capable, headers });
    await client.cloud.capabilities();
    const last = Date.parse(server.requests.at(-1)?.parameters.get('expires') ?? '');
    expect(Math.round((last - Date.now()) / 60_000), 'by our own clock again').toBe(10);
  });

  it('a 401 page of something in between is a 401', async () => {
    say({ status: 401, body: '<html>proxy login</html>' });
    expect((await refused(client.cloud.capabilities())).kind).toBe('authentication');
  });
});

describe('invalid answers', () => {
  const NONSENSE: readonly [what: string, answer: CannedAnswer, reason: RegExp][] = [
    [
      'a page of a load balancer',
      { status: 502, body: '<html>Bad Gateway</html>' },
      /HTTP 502\): it is not the JSON/,
    ],
    ['a page with status 200', { body: '<html>login</html>' }, /HTTP 200\): it is not the JSON/],
    ['nothing', { body: '' }, /it is empty/],
    ['half an answer', { body: '{"attachvolumeresponse":{"jobid":"1' }, /it is not the JSON/],
    ['JSON of somebody else', { body: '[1,2]' }, /it is not the JSON/],
    ['an envelope of somebody else', { body: '{"hello":{}}' }, /it is not the JSON/],
    ['an answer without what was asked for', ok('attachVolume', { hello: 1 }), /unexpected content/],
    ['HTTP 503 without content', { status: 503 }, /it is empty/],
  ];

  it.each(NONSENSE)('%s: the outcome is unknown', async (_what, answer, reason) => {
    say(answer);
    const error = await refused(attach());
    expect([error.kind, error.outcome, error.transient]).toEqual(['network', 'unknown', true]);
    expect(error.message).toMatch(reason);
    expect(server.requests).toHaveLength(1);
  });

  it('raw control characters inside strings are read all the same', async () => {
    say({ body: `{"attachvolumeresponse":{"jobid":"${JOB}","note":"line\u0001 one\nline\ttwo"}}` });
    expect((await attach()).jobId).toBe(JOB);
  });

  it.each([301, 302, 307, 308])(
    'a redirect (%i) is never followed: the signature stays here',
    async (status) => {
      const thief = await startCannedServer();
      thief.script = () => ok('attachVolume', { jobid: JOB });
      say({ status, headers: { location: thief.url } });
      const error = await refused(attach());
      expect(error.message).toContain('redirects are not followed; correct api_url');
      expect([thief.requests.length, server.requests.length, error.outcome]).toEqual([0, 1, 'unknown']);
      await thief.stop();
    },
  );

  it('a small answer that unpacks to more than the limit is refused too', async () => {
    const packed = gzipSync(Buffer.alloc(LIMITS.CLOUDSTACK_ANSWER_BYTES + 1, 'x'));
    expect(packed.length).toBeLessThan(LIMITS.CLOUDSTACK_ANSWER_BYTES / 100);
    say({
      socket: (response) =>
        response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': packed.length }).end(packed),
    });
    const error = await refused(attach());
    expect(error.message).toContain(`larger than ${LIMITS.CLOUDSTACK_ANSWER_BYTES} bytes`);
    expect(error.outcome).toBe('unknown');
  });

  it('an answer larger than the limit is not read to its end', async () => {
    const chunk = Buffer.alloc(1024 * 1024, 'x');
    let sent = 0;
    let closed = false;
    say({
      socket: (response) => {
        response.writeHead(200).on('close', () => {
          closed = true;
        });
        const more = () => {
          while (!closed && response.write(chunk)) sent += chunk.length;
        };
        response.on('drain', more);
        more();
      },
    });
    const error = await refused(attach());
    expect(error.message).toContain(`larger than ${LIMITS.CLOUDSTACK_ANSWER_BYTES} bytes`);
    expect(error.outcome).toBe('unknown');
    while (!closed) await new Promise((resolve) => setImmediate(resolve));
    // What fits into the buffers on the way may have been sent on top of the limit.
    expect(sent).toBeLessThan(2 * LIMITS.CLOUDSTACK_ANSWER_BYTES);
  });
});

describe('the connection', () => {
  const call = (endpoint: string, timeoutMs = 30_000) =>
    post(createSender(createAgents()), {
      endpoint,
      command: 'attachVolume',
      form: 'command=attachVolume',
      timeoutMs,
      onServerTime: () => {},
    });

  it('nobody listens: certainly not started', async () => {
    const free = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => free.once('listening', resolve));
    const address = free.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    await new Promise((resolve) => free.close(resolve));
    const error = await refused(call(`http://127.0.0.1:${port}/client/api`));
    expect([error.kind, error.outcome, error.message]).toEqual([
      'network',
      'not-started',
      'CloudStack did not answer attachVolume: ECONNREFUSED',
    ]);
  });

  it('no such host: certainly not started', async () => {
    expect((await refused(call('http://no-such-host.invalid/client/api'))).outcome).toBe('not-started');
  });

  it('a server that takes the connection and speaks no TLS: certainly not started', async () => {
    const silent = createServer().listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo;
    await withLimits({ CLOUDSTACK_CONNECT_TIMEOUT_MS: 50 }, async () => {
      const error = await refused(call(`https://127.0.0.1:${port}/client/api`));
      expect([error.outcome, error.message]).toEqual([
        'not-started',
        'CloudStack did not answer attachVolume: ERR_CONNECT_TIMEOUT',
      ]);
    });
    silent.close();
  });

  it('is used again by the next call', async () => {
    const ports = new Set<number | undefined>();
    say({
      socket: (response) => {
        ports.add(response.socket?.remotePort);
        response.end(ok('attachVolume', { jobid: JOB }).body);
      },
    });
    await attach();
    await attach();
    expect([server.requests.length, ports.size]).toEqual([2, 1]);
  });

  const IDLE_MS = 10;
  it('of a call that is slow to be answered is not taken for one that is left alone', async () => {
    say({
      socket: (response) =>
        void setTimeout(() => response.end(ok('attachVolume', { jobid: JOB }).body), 10 * IDLE_MS),
    });
    await withLimits({ CLOUDSTACK_IDLE_MS: IDLE_MS }, async () => {
      await expect(call(server.url)).resolves.toEqual({ jobid: JOB });
    });
    expect(server.requests).toHaveLength(1);
  });

  const BREAKS: readonly [what: string, socket: CannedAnswer['socket']][] = [
    ['reset after the request was read', (response) => void response.socket?.resetAndDestroy()],
    ['closed after the request was read', (response) => void response.socket?.destroy()],
    [
      'reset in the middle of the answer',
      (response) => {
        response.writeHead(200, { 'content-length': '1000' }).write('{"attachvolume');
        response.socket?.resetAndDestroy();
      },
    ],
    ['nonsense instead of HTTP', (response) => void response.socket?.end('SSH-2.0-OpenSSH_9.2\r\n')],
  ];

  it.each(BREAKS)('%s: it may have happened', async (_what, socket) => {
    say(socket ? { socket } : {});
    const error = await refused(attach());
    expect([error.kind, error.outcome, error.transient]).toEqual(['network', 'unknown', true]);
    expect(server.requests, 'a POST is never repeated by the transport').toHaveLength(1);
  });

  it('a server that does not answer in time: it may have happened', async () => {
    say({ socket: () => {} });
    const error = await refused(call(server.url, 50));
    expect([error.outcome, error.message]).toEqual([
      'unknown',
      'CloudStack did not answer attachVolume: timeout',
    ]);
  });

  it('a server that begins in time and never ends: the limit is on the last byte', async () => {
    say({ socket: (response) => void response.writeHead(200).write('{') });
    const error = await refused(call(server.url, 50));
    expect([error.outcome, error.message]).toEqual([
      'unknown',
      'CloudStack did not answer attachVolume: timeout',
    ]);
  });
});

describe('jobs', () => {
  const job = (fields: Record<string, unknown>) =>
    ok('queryAsyncJobResult', { jobid: JOB, jobinstancetype: 'Volume', jobinstanceid: VOLUME, ...fields });
  const failure = { status: 'failed', volumeId: VOLUME };

  it('pending, succeeded, and the old server with numbers as text', async () => {
    say(job({ jobstatus: 0 }));
    expect(await client.cloud.queryJob(JOB)).toMatchObject({ status: 'pending', errorCode: null });
    say(job({ jobstatus: '1', jobresult: { volume: { id: VOLUME, jobid: JOB, jobstatus: 0 } } }));
    expect(await client.cloud.queryJob(JOB)).toMatchObject({ status: 'succeeded', volumeId: VOLUME });
  });

  it('failed with code and text', async () => {
    say(
      job({
        jobstatus: 2,
        jobresultcode: 530,
        jobresult: { errorcode: 431, errortext: 'not\u0000 attached' },
      }),
    );
    expect(await client.cloud.queryJob(JOB)).toMatchObject({
      ...failure,
      errorCode: 431,
      errorText: 'not  attached',
    });
  });

  it('failed without a result: a restart of the management server (530), an hour in the queue (0)', async () => {
    say(job({ jobstatus: 2, jobresultcode: 530 }));
    expect(await client.cloud.queryJob(JOB)).toMatchObject({ ...failure, errorCode: 530, errorText: null });
    say(job({ jobstatus: 2, jobresultcode: 0 }));
    expect(await client.cloud.queryJob(JOB)).toMatchObject({ ...failure, errorCode: 0, errorText: null });
  });

  it('cancelled is failed', async () => {
    say(job({ jobstatus: 3, jobresultcode: 0 }));
    expect((await client.cloud.queryJob(JOB))?.status).toBe('failed');
  });

  it('of a job on a VM, the VM is not taken for a volume', async () => {
    say(
      job({
        jobstatus: 1,
        jobinstancetype: 'VirtualMachine',
        jobinstanceid: VM,
        jobresult: { success: true },
      }),
    );
    expect((await client.cloud.queryJob(JOB))?.volumeId).toBeNull();
  });

  it('of another id is no answer: it may be about another volume', async () => {
    say(job({ jobid: JOB.toUpperCase(), jobstatus: 1 }));
    expect((await client.cloud.queryJob(JOB))?.status).toBe('succeeded');
    say(job({ jobid: VM, jobstatus: 1 }));
    expect(await refused(client.cloud.queryJob(JOB))).toMatchObject({ outcome: 'unknown', transient: true });
    say(ok('createVolume', { id: VOLUME, jobid: VM }));
    const create = { volumeName: 'v', zoneId: VM, diskOfferingId: VM, sizeGiB: 1, owner: null };
    const accepted = await client.cloud.submit({ name: 'createVolume', ...create }, JOB);
    expect(accepted.volumeId).toBeNull();
  });

  it('a status that no version has is not the end of it', async () => {
    for (const jobstatus of [-1, 0.5, '']) {
      say(job({ jobstatus }));
      expect((await client.cloud.queryJob(JOB))?.status).toBe('pending');
    }
  });

  it('unknown only when the server says that this very job does not exist', async () => {
    const text = (id: string) =>
      `Invalid parameter jobid value=${id} due to incorrect long value format, or entity does not exist`;
    say(fails('queryAsyncJobResult', 431, text(JOB), 9999));
    expect(await client.cloud.queryJob(JOB)).toBeNull();
    say(fails('queryAsyncJobResult', 431, text(VOLUME), 9999));
    expect((await refused(client.cloud.queryJob(JOB))).code).toBe(431);
    say(fails('queryAsyncJobResult', 401, text(JOB), 9999));
    expect((await refused(client.cloud.queryJob(JOB))).code).toBe(401);
  });
});

describe('deleteVolume', () => {
  it.each([true, 'true'])('success as %o is success', async (success) => {
    say(ok('deleteVolume', { success }));
    await expect(client.cloud.deleteVolume(VOLUME)).resolves.toBe('deleted');
  });

  it("the sentence about an object that was removed says that it is gone; somebody else's is not", async () => {
    say(fails('deleteVolume', 431, 'Unable to find UUID for id [23] of type [Volume]'));
    await expect(client.cloud.deleteVolume(VOLUME)).resolves.toBe('gone');
    say(fails('deleteVolume', 431, 'Unable to find UUID for id [23] of type [VirtualMachine]'));
    expect((await refused(client.cloud.deleteVolume(VOLUME))).outcome).toBe('final');
    say(fails('deleteVolume', 531, 'Acct does not have permission to operate with resource'));
    expect(await refused(client.cloud.deleteVolume(VOLUME))).toMatchObject({
      kind: 'permission',
      outcome: 'final',
    });
  });

  it('anything else leaves open what has happened', async () => {
    say(ok('deleteVolume', { success: false, displaytext: 'a snapshot\u0007 is there' }));
    const error = await refused(client.cloud.deleteVolume(VOLUME));
    expect([error.outcome, error.message]).toEqual([
      'unknown',
      'CloudStack did not delete the volume: a snapshot  is there',
    ]);
    say(ok('deleteVolume', {}));
    expect((await refused(client.cloud.deleteVolume(VOLUME))).outcome).toBe('unknown');
  });
});
