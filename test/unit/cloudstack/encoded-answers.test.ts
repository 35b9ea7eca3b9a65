import { describe, expect, it } from 'vitest';
import { type CannedAnswer, fails, ok } from './canned-server';
import { JOB, refused, useCannedServer, VM, VOLUME } from './use-canned-server';

const canned = useCannedServer();

/** As a server with `encode.api.response` writes texts. */
const encode = (text: string) =>
  text.replace(/[\u0000-\u007f]/g, (one) =>
    /[A-Za-z0-9]/.test(one)
      ? one
      : `%${(one.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(2, '0')}`,
  );

/** The same answer from such a server, which leaves dates as they are. */
function encoded({ body = '', ...answer }: CannedAnswer): CannedAnswer {
  const isDate = (text: string) => /^\d{4}-\d\d-\d\dT/.test(text);
  const content: unknown = JSON.parse(body, (_name, value: unknown) =>
    typeof value === 'string' && !isDate(value) ? encode(value) : value,
  );
  return { ...answer, body: JSON.stringify(content) };
}

describe('a CloudStack with encode.api.response', () => {
  it('shows volumes with the ids, names and dates that they have', async () => {
    const shown = {
      id: VOLUME,
      name: 'Größe: 50% of “web 1”_a',
      state: 'Ready',
      size: 1024 ** 3,
      virtualmachineid: VM,
      created: '2024-11-04T09:00:00+0000',
    };
    canned.say(encoded(ok('listVolumes', { count: 1, volume: [shown] })));
    expect(await canned.client.cloud.readVolume(VOLUME)).toMatchObject({
      kind: 'seen',
      value: { id: VOLUME, name: shown.name, vmId: VM, created: '2024-11-04T09:00:00.000Z' },
    });
  });

  it('takes calls, and tells how their jobs end', async () => {
    canned.say(encoded(ok('attachVolume', { jobid: JOB })));
    expect(await canned.attach()).toMatchObject({ jobId: JOB });
    const jobresult = { errorcode: 530, errortext: 'Failed to attach volume a_b to VM c' };
    canned.say(
      encoded(ok('queryAsyncJobResult', { jobid: JOB, jobstatus: 2, jobresultcode: 530, jobresult })),
    );
    expect(await canned.client.cloud.queryJob(JOB)).toMatchObject({
      jobId: JOB,
      status: 'failed',
      errorText: jobresult.errortext,
    });
  });

  it('proves what its errors prove', async () => {
    canned.say(encoded(fails('deleteVolume', 431, 'Unable to find UUID for id [23] of type [Volume]')));
    expect(await canned.client.cloud.deleteVolume(VOLUME)).toBe('gone');
    canned.say(encoded(fails('attachVolume', 431, 'Please specify a VM that is either running or stopped.')));
    expect((await refused(canned.attach())).kind).toBe('busy');
  });

  it('is not what a name looks like: an escape in the name of a volume stays', async () => {
    canned.say(ok('listVolumes', { count: 1, volume: [{ id: VOLUME, name: 'a%20b', state: 'Ready' }] }));
    expect(await canned.client.cloud.readVolume(VOLUME)).toMatchObject({ value: { name: 'a%20b' } });
  });
});
