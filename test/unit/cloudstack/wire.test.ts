import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { LIMITS } from '~/server/core/limits';
import { type CannedAnswer, configRow, fails, ok, startCannedServer } from './canned-server';
import { JOB, refused, useCannedServer, VM, VOLUME } from './use-canned-server';

const canned = useCannedServer();

describe('what is sent', () => {
  it('a signed POST with the parameters in the body, nothing in the URL', async () => {
    canned.say(ok('attachVolume', { jobid: JOB }));
    expect(await canned.attach()).toEqual({ jobId: JOB, volumeId: null, snapshotId: null });
    const [request] = canned.server.requests;
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
    canned.say(ok('attachVolume', { jobid: JOB }));
    await canned.client.cloud.submit({ name: 'attachVolume', volumeId: VOLUME, vmId: VM, deviceId: 0 }, JOB);
    canned.say(ok('createVolume', { id: VOLUME.toUpperCase(), jobid: JOB }));
    const create = {
      name: 'createVolume' as const,
      volumeName: 'ä b',
      zoneId: 'z',
      diskOfferingId: 'o',
      owner: null,
    };
    expect(await canned.client.cloud.submit({ ...create, sizeGiB: 7 }, JOB)).toEqual({
      jobId: JOB,
      volumeId: VOLUME,
      snapshotId: null,
    });
    await canned.client.cloud.submit({ ...create, sizeGiB: null }, JOB);
    const [first, second, third] = canned.server.requests.map(({ parameters }) => parameters);
    expect([first?.get('deviceid'), second?.get('size'), third?.get('size')]).toEqual(['0', '7', null]);
    expect(second?.get('name')).toBe('ä b');
  });
});

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
    canned.say(fails('attachVolume', code, text));
    const error = await refused(canned.attach());
    expect([error.kind, error.outcome, error.transient, error.code, error.httpStatus]).toEqual([
      kind,
      outcome,
      transient,
      code,
      code,
    ]);
    expect(error.message).toBe(`CloudStack API error ${code}: ${text}`);
    expect(canned.server.requests, 'a change is never sent twice').toHaveLength(1);
  });

  it('431 with "job id taken" proves that an earlier try arrived', async () => {
    canned.say(
      fails('attachVolume', 431, `UUID: ${JOB} already exists so can't create/update with custom id`),
    );
    const error = await refused(canned.attach());
    expect([error.code, error.outcome]).toEqual([431, 'taken']);
    canned.say(
      fails('attachVolume', 431, `UUID: ${VM} already exists so can't create/update with custom id`),
    );
    expect((await refused(canned.attach())).outcome, 'another id').toBe('final');
    canned.say(fails('attachVolume', 530, 'Entity already exists '));
    expect((await refused(canned.attach())).outcome, 'of a job that has ended, as root is told').toBe(
      'taken',
    );
    canned.say(
      fails('attachVolume', 530, 'Internal error executing command, please contact your cloud administrator'),
    );
    expect((await refused(canned.attach())).outcome, 'the same as a user is told').toBe('unknown');
  });

  it('the delay of a 429 comes from the text, else from the header, in seconds or as a date', async () => {
    const limited = (headers: Record<string, string>) => ({
      status: 429,
      headers,
      body: '<html>slow down</html>',
    });
    canned.say({
      ...fails('attachVolume', 429, 'please retry after [1500] ms.'),
      headers: { 'retry-after': '60' },
    });
    expect((await refused(canned.attach())).retryAfterMs).toBe(1_500);
    canned.say(limited({ 'retry-after': '7' }));
    expect(await refused(canned.attach())).toMatchObject({
      kind: 'rate-limit',
      outcome: 'not-started',
      retryAfterMs: 7_000,
    });
    // By the clock of who sent it, which may be hours from ours.
    const [date, later] = [-3_600_000, -3_510_000].map((ms) => new Date(Date.now() + ms).toUTCString());
    canned.say(limited({ date: date ?? '', 'retry-after': later ?? '' }));
    expect((await refused(canned.attach())).retryAfterMs).toBe(90_000);
    canned.say(limited({ 'retry-after': 'soon' }));
    expect((await refused(canned.attach())).retryAfterMs).toBeNull();
    canned.say(limited({}));
    expect((await refused(canned.attach())).retryAfterMs).toBeNull();
  });

  it('texts lose control characters and credentials, and are bounded', async () => {
    const raw = `bad\u0000 \u001b[31mthing apiKey=abc123&signature=xyz ${'x'.repeat(5_000)}`;
    canned.say(fails('attachVolume', 530, raw));
    const { text } = await refused(canned.attach());
    expect(text.startsWith('bad   [31mthing apiKey=***&signature=***')).toBe(true);
    expect(text).toHaveLength(1_000);
  });

  it('an error inside HTTP 200, and one without its own number, are errors', async () => {
    canned.say({ ...fails('attachVolume', 431, 'no'), status: 200 });
    expect((await refused(canned.attach())).code).toBe(431);
    canned.say({
      status: 531,
      body: JSON.stringify({ errorresponse: { errorcode: '531', errortext: 'no' } }),
    });
    expect(await refused(canned.attach())).toMatchObject({ kind: 'permission', csCode: null });
  });
});

describe('a call that changes something', () => {
  const kept = new Error('the lease has ended');
  /** Each of them, asked whether it may leave. */
  const CALLS: readonly [string, (departs: () => void) => Promise<unknown>][] = [
    [
      'submit',
      (departs) => canned.client.cloud.submit({ name: 'detachVolume', volumeId: VOLUME }, JOB, departs),
    ],
    ['deleteVolume', (departs) => canned.client.cloud.deleteVolume(VOLUME, departs)],
    ['recoverVolume', (departs) => canned.client.cloud.recoverVolume(VOLUME, departs)],
  ];

  it.each(CALLS)(
    'is kept back when it may not leave any more once the credentials were read: %s',
    async (_name, call) => {
      canned.say(fails('any', 530, 'it was sent'));
      let mayLeave = true;
      const { settings } = canned.client;
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
      expect(canned.server.requests).toEqual([]);
    },
  );

  /** The first answer is a 401, after which the next call can be signed as it has to be. */
  const CORRECTED: readonly [string, () => CannedAnswer][] = [
    [
      'the credentials were changed',
      () => {
        canned.client.rows = [configRow({ apiUrl: canned.server.url, apiKey: 'the-new-key' })];
        return fails('any', 401, 'unable to verify user credentials');
      },
    ],
    [
      'the clocks differ',
      () => {
        const date = new Date(Date.now() + 3_600_000).toUTCString();
        return { ...fails('any', 401, 'unable to verify user credentials'), headers: { date } };
      },
    ],
  ];

  it.each(
    CORRECTED.flatMap(([why, answer]) => CALLS.map(([name, call]) => [why, name, answer, call] as const)),
  )(
    'is not sent again by itself after a 401 because %s: what may forbid it was looked at before that: %s',
    async (_why, _name, answer, call) => {
      let answers = 0;
      canned.server.script = () => {
        answers += 1;
        return answers === 1 ? answer() : fails('any', 530, 'it was sent again');
      };
      const error = await refused(call(() => {}));
      expect([error.kind, error.outcome, error.transient]).toEqual(['authentication', 'not-started', true]);
      expect(canned.server.requests).toHaveLength(1);
      const again = await refused(call(() => {}));
      expect(again.text, 'and the next one is signed by what was learned').toBe('it was sent again');
      const [before, after] = canned.server.requests.map(({ parameters: signed }) =>
        [signed.get('apikey'), signed.get('expires')?.slice(0, 13)].join(),
      );
      expect(after).not.toBe(before);
    },
  );
});

describe('401', () => {
  const unauthorized = fails(
    'listCapabilities',
    401,
    'unable to verify user credentials and/or request signature',
  );
  const capable = ok('listCapabilities', { capability: { cloudstackversion: '4.20.0.0' } });

  it('new credentials in the table are taken and used at once', async () => {
    canned.server.script = ({ parameters }) =>
      parameters.get('apikey') === 'the-api-key' ? unauthorized : capable;
    await canned.client.settings.active();
    canned.client.rows = [configRow({ apiUrl: canned.server.url, apiKey: 'the-new-key' })];
    expect((await canned.client.cloud.capabilities()).version).toBe('4.20.0.0');
    expect([canned.server.requests.length, canned.client.readings]).toEqual([2, 2]);
  });

  it('with the same credentials nothing was done and it may pass; one reading, and it says what to look at', async () => {
    canned.say(unauthorized);
    const error = await refused(canned.client.cloud.capabilities());
    expect(error).toMatchObject({
      kind: 'authentication',
      outcome: 'not-started',
      transient: true,
      code: 401,
    });
    expect(error.message).toMatch(
      /^CloudStack API error 401: .*api_key and secret_key.*MIGRATEKIT_CRED_ENCRYPTION_KEY.*clock.*source addresses.*database/,
    );
    expect([canned.server.requests.length, canned.client.readings]).toEqual([1, 2]);
  });

  it('when the new credentials are wrong too, there is no third try', async () => {
    canned.say(unauthorized);
    await canned.client.settings.active();
    canned.client.rows = [configRow({ apiUrl: canned.server.url, apiKey: 'also-wrong' })];
    expect((await refused(canned.client.cloud.capabilities())).code).toBe(401);
    expect(canned.server.requests).toHaveLength(2);
  });

  it('clocks that differ are named, even when no call ever succeeded', async () => {
    canned.say({ ...unauthorized, headers: { date: new Date(Date.now() - 3_600_000).toUTCString() } });
    expect((await refused(canned.client.cloud.capabilities())).message).toMatch(
      / And the clock of this machine is 3(599|60\d) s ahead of CloudStack's\.$/,
    );
    expect(canned.client.cloud.statistics()).toMatchObject({
      calls: 2,
      errors: 2,
      clockSkewSource: 'date-header',
    });
    canned.say({ ...unauthorized, headers: { date: new Date().toUTCString() } });
    expect((await refused(canned.client.cloud.capabilities())).message).not.toContain('And the clock');
  });

  it('a Date that is wrong is no proof: what it led to is sent once and forgotten', async () => {
    const headers = { date: new Date(Date.now() - 3_600_000).toUTCString() };
    canned.say({ ...unauthorized, headers });
    await refused(canned.client.cloud.capabilities());
    const expiries = canned.server.requests.map(
      ({ parameters }) => Date.parse(parameters.get('expires') ?? '') - Date.now(),
    );
    expect(expiries.map((ahead) => Math.round(ahead / 60_000))).toEqual([10, -50]);
    canned.say({ ...capable, headers });
    await canned.client.cloud.capabilities();
    const last = Date.parse(canned.server.requests.at(-1)?.parameters.get('expires') ?? '');
    expect(Math.round((last - Date.now()) / 60_000), 'by our own clock again').toBe(10);
  });

  it('nor is it when a call that changes something has led to it: the next refusal ends that', async () => {
    const headers = { date: new Date(Date.now() - 3_600_000).toUTCString() };
    canned.say({ ...unauthorized, headers });
    await refused(canned.client.cloud.recoverVolume(VOLUME, () => {}));
    const isByOurClock = (expires: string | null) => Date.parse(expires ?? '') > Date.now();
    canned.server.script = ({ parameters }) => ({
      ...(isByOurClock(parameters.get('expires')) ? capable : unauthorized),
      headers,
    });
    await refused(canned.client.cloud.capabilities());
    expect((await canned.client.cloud.capabilities()).version).toBe('4.20.0.0');
  });

  it('a corrected call that is not answered says nothing of the Date: the next one is signed by it, too', async () => {
    const hourAgoMs = Date.now() - 3_600_000;
    const headers = { date: new Date(hourAgoMs).toUTCString() };
    const isCorrected = (expires: string | null) => Date.parse(expires ?? '') < Date.now();
    canned.server.script = ({ parameters }, index) => {
      if (!isCorrected(parameters.get('expires'))) return { ...unauthorized, headers };
      return index === 1 ? { socket: (response) => void response.destroy() } : { ...capable, headers };
    };
    expect((await refused(canned.client.cloud.capabilities())).kind).toBe('network');
    await canned.client.cloud.capabilities();
    const ahead = canned.server.requests.map(({ parameters }) => isCorrected(parameters.get('expires')));
    expect(ahead, 'corrected or not').toEqual([false, true, true]);
  });

  it('a 401 page of something in between is a 401', async () => {
    canned.say({ status: 401, body: '<html>proxy login</html>' });
    expect((await refused(canned.client.cloud.capabilities())).kind).toBe('authentication');
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
    canned.say(answer);
    const error = await refused(canned.attach());
    expect([error.kind, error.outcome, error.transient]).toEqual(['network', 'unknown', true]);
    expect(error.message).toMatch(reason);
    expect(canned.server.requests).toHaveLength(1);
  });

  it('raw control characters inside strings are read all the same', async () => {
    canned.say({ body: `{"attachvolumeresponse":{"jobid":"${JOB}","note":"line\u0001 one\nline\ttwo"}}` });
    expect((await canned.attach()).jobId).toBe(JOB);
  });

  it.each([301, 302, 307, 308])(
    'a redirect (%i) is never followed: the signature stays here',
    async (status) => {
      const thief = await startCannedServer();
      thief.script = () => ok('attachVolume', { jobid: JOB });
      canned.say({ status, headers: { location: thief.url } });
      const error = await refused(canned.attach());
      expect(error.message).toContain('redirects are not followed; correct api_url');
      expect([thief.requests.length, canned.server.requests.length, error.outcome]).toEqual([
        0,
        1,
        'unknown',
      ]);
      await thief.stop();
    },
  );

  it('a small answer that unpacks to more than the limit is refused too', async () => {
    const packed = gzipSync(Buffer.alloc(LIMITS.CLOUDSTACK_ANSWER_BYTES + 1, 'x'));
    expect(packed.length).toBeLessThan(LIMITS.CLOUDSTACK_ANSWER_BYTES / 100);
    canned.say({
      socket: (response) =>
        response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': packed.length }).end(packed),
    });
    const error = await refused(canned.attach());
    expect(error.message).toContain(`larger than ${LIMITS.CLOUDSTACK_ANSWER_BYTES} bytes`);
    expect(error.outcome).toBe('unknown');
  });

  it('an answer larger than the limit is not read to its end', async () => {
    const chunk = Buffer.alloc(1024 * 1024, 'x');
    let sent = 0;
    let closed = false;
    canned.say({
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
    const error = await refused(canned.attach());
    expect(error.message).toContain(`larger than ${LIMITS.CLOUDSTACK_ANSWER_BYTES} bytes`);
    expect(error.outcome).toBe('unknown');
    while (!closed) await new Promise((resolve) => setImmediate(resolve));
    // What fits into the buffers on the way may have been sent on top of the limit.
    expect(sent).toBeLessThan(2 * LIMITS.CLOUDSTACK_ANSWER_BYTES);
  });
});

describe('jobs', () => {
  const job = (fields: Record<string, unknown>) =>
    ok('queryAsyncJobResult', { jobid: JOB, jobinstancetype: 'Volume', jobinstanceid: VOLUME, ...fields });
  const failure = { status: 'failed', volumeId: VOLUME };

  it('pending, succeeded, and the old server with numbers as text', async () => {
    canned.say(job({ jobstatus: 0 }));
    expect(await canned.client.cloud.queryJob(JOB)).toMatchObject({ status: 'pending', errorCode: null });
    canned.say(job({ jobstatus: '1', jobresult: { volume: { id: VOLUME, jobid: JOB, jobstatus: 0 } } }));
    expect(await canned.client.cloud.queryJob(JOB)).toMatchObject({ status: 'succeeded', volumeId: VOLUME });
  });

  it('failed with code and text', async () => {
    canned.say(
      job({
        jobstatus: 2,
        jobresultcode: 530,
        jobresult: { errorcode: 431, errortext: 'not\u0000 attached' },
      }),
    );
    expect(await canned.client.cloud.queryJob(JOB)).toMatchObject({
      ...failure,
      errorCode: 431,
      errorText: 'not  attached',
    });
  });

  it('failed without a result: a restart of the management server (530), an hour in the queue (0)', async () => {
    canned.say(job({ jobstatus: 2, jobresultcode: 530 }));
    expect(await canned.client.cloud.queryJob(JOB)).toMatchObject({
      ...failure,
      errorCode: 530,
      errorText: null,
    });
    canned.say(job({ jobstatus: 2, jobresultcode: 0 }));
    expect(await canned.client.cloud.queryJob(JOB)).toMatchObject({
      ...failure,
      errorCode: 0,
      errorText: null,
    });
  });

  it('cancelled is failed', async () => {
    canned.say(job({ jobstatus: 3, jobresultcode: 0 }));
    expect((await canned.client.cloud.queryJob(JOB))?.status).toBe('failed');
  });

  it('of a job on a VM, the VM is not taken for a volume', async () => {
    canned.say(
      job({
        jobstatus: 1,
        jobinstancetype: 'VirtualMachine',
        jobinstanceid: VM,
        jobresult: { success: true },
      }),
    );
    expect((await canned.client.cloud.queryJob(JOB))?.volumeId).toBeNull();
  });

  it.each(['x'.repeat(65), '../../etc/passwd', 'a\u0000b', ''])(
    'an object that is called %j is none, in a job, in an acceptance and in a list',
    async (odd) => {
      canned.say(job({ jobstatus: 1, jobinstanceid: odd, jobresult: { volume: { id: odd } } }));
      expect((await canned.client.cloud.queryJob(JOB))?.volumeId).toBeNull();
      canned.say(ok('attachVolume', { jobid: JOB, id: odd }));
      expect(await refused(canned.attach())).toMatchObject({ kind: 'network', outcome: 'unknown' });
      canned.say(ok('listVolumes', { count: 1, volume: [{ id: VOLUME, virtualmachineid: odd }] }));
      expect((await refused(canned.client.cloud.listVolumes({}))).kind, 'nor is it attached nowhere').toBe(
        'network',
      );
    },
  );

  it('of another id is no answer: it may be about another volume', async () => {
    canned.say(job({ jobid: JOB.toUpperCase(), jobstatus: 1 }));
    expect((await canned.client.cloud.queryJob(JOB))?.status).toBe('succeeded');
    canned.say(job({ jobid: VM, jobstatus: 1 }));
    expect(await refused(canned.client.cloud.queryJob(JOB))).toMatchObject({
      outcome: 'unknown',
      transient: true,
    });
    canned.say(ok('createVolume', { id: VOLUME, jobid: VM }));
    const create = { volumeName: 'v', zoneId: VM, diskOfferingId: VM, sizeGiB: 1, owner: null };
    const accepted = await canned.client.cloud.submit({ name: 'createVolume', ...create }, JOB);
    expect(accepted.volumeId).toBeNull();
  });

  it('a status that no version has is not the end of it', async () => {
    for (const jobstatus of [-1, 0.5, '']) {
      canned.say(job({ jobstatus }));
      expect((await canned.client.cloud.queryJob(JOB))?.status).toBe('pending');
    }
  });

  it('unknown only when the server says that this very job does not exist', async () => {
    const text = (id: string) =>
      `Invalid parameter jobid value=${id} due to incorrect long value format, or entity does not exist`;
    canned.say(fails('queryAsyncJobResult', 431, text(JOB), 9999));
    expect(await canned.client.cloud.queryJob(JOB)).toBeNull();
    canned.say(fails('queryAsyncJobResult', 431, text(VOLUME), 9999));
    expect((await refused(canned.client.cloud.queryJob(JOB))).code).toBe(431);
    canned.say(fails('queryAsyncJobResult', 401, text(JOB), 9999));
    expect((await refused(canned.client.cloud.queryJob(JOB))).code).toBe(401);
  });
});

describe('deleteVolume', () => {
  it.each([true, 'true'])('success as %o is success', async (success) => {
    canned.say(ok('deleteVolume', { success }));
    await expect(canned.client.cloud.deleteVolume(VOLUME)).resolves.toBe('deleted');
  });

  it("the sentence about an object that was removed says that it is gone; somebody else's is not", async () => {
    canned.say(fails('deleteVolume', 431, 'Unable to find UUID for id [23] of type [Volume]'));
    await expect(canned.client.cloud.deleteVolume(VOLUME)).resolves.toBe('gone');
    const named = 'name = Unable to find UUID for id [23] of type [Volume]';
    canned.say(
      fails(
        'deleteVolume',
        431,
        `Volume [id = ${VOLUME}, ${named}] has delete protection enabled and cannot be deleted.`,
      ),
    );
    expect((await refused(canned.client.cloud.deleteVolume(VOLUME))).outcome, 'a name proves nothing').toBe(
      'final',
    );
    canned.say(fails('deleteVolume', 431, 'Unable to find UUID for id [23] of type [VirtualMachine]'));
    expect((await refused(canned.client.cloud.deleteVolume(VOLUME))).outcome).toBe('final');
    canned.say(fails('deleteVolume', 531, 'Acct does not have permission to operate with resource'));
    expect(await refused(canned.client.cloud.deleteVolume(VOLUME))).toMatchObject({
      kind: 'permission',
      outcome: 'final',
    });
  });

  it.each(['Unable to aquire volume with ID: 23', 'Unable to find volume with ID: 23'])(
    'so does the sentence of other versions: %s',
    async (sentence) => {
      canned.say(fails('deleteVolume', 431, sentence));
      await expect(canned.client.cloud.deleteVolume(VOLUME)).resolves.toBe('gone');
      canned.say(fails('deleteVolume', 431, `${sentence} for account: data. Permission denied.`));
      expect((await refused(canned.client.cloud.deleteVolume(VOLUME))).outcome).toBe('final');
    },
  );

  it('anything else leaves open what has happened', async () => {
    canned.say(ok('deleteVolume', { success: false, displaytext: 'a snapshot\u0007 is there' }));
    const error = await refused(canned.client.cloud.deleteVolume(VOLUME));
    expect([error.outcome, error.message]).toEqual([
      'unknown',
      'CloudStack did not delete the volume: a snapshot  is there',
    ]);
    canned.say(ok('deleteVolume', {}));
    expect((await refused(canned.client.cloud.deleteVolume(VOLUME))).outcome).toBe('unknown');
  });
});
