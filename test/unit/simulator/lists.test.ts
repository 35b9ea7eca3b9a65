import { describe, expect, it } from 'vitest';
import { COMMANDS } from '~/lab/cloudstack/commands';
import type { CloudModel } from '~/lab/cloudstack/model';
import { ApiError } from '~/lab/cloudstack/records';
import { asJson, asXml, failure, readParams, success } from '~/lab/cloudstack/wire/envelope';
import { create, makeWorld } from './world';

/** The content of the envelope as it goes over the wire, or code and text of the refusal. */
async function ask(
  model: CloudModel,
  command: string,
  params: Record<string, string> = {},
): Promise<unknown> {
  const run = COMMANDS.get(command);
  if (!run) throw new Error(`there is no ${command}`);
  try {
    return JSON.parse(
      JSON.stringify(
        await run(model, new Map(Object.entries(params)), { account: model.account, denied: [] }),
      ),
    );
  } catch (error) {
    if (error instanceof ApiError) return [error.code, error.message];
    throw error;
  }
}

const names = (answer: unknown, key: string): unknown =>
  typeof answer === 'object' && answer !== null && key in answer
    ? Object.entries(answer)
        .filter(([name]) => name === key)
        .flatMap(([, items]) => items)
        .map(({ name }: { name: string }) => name)
    : answer;

describe('lists', () => {
  it('empty: an empty object, neither count nor array', async () => {
    const { model } = makeWorld();
    expect(await ask(model, 'listVolumes', { name: 'nobody' })).toEqual({});
  });

  it('a page past the end: a count, no array', async () => {
    const { model } = makeWorld();
    for (let i = 0; i < 5; i += 1) create(model, { name: `v${i}` });
    const list = (page: string) => ask(model, 'listVolumes', { keyword: 'v', page, pagesize: '2' });
    expect(names(await list('3'), 'volume')).toEqual(['v4']);
    expect(await list('4')).toEqual({ count: 5 });
  });

  it('page and pagesize go together, at most 500; -1 alone is everything', async () => {
    const { model } = makeWorld();
    for (let i = 0; i < 501; i += 1) create(model, { name: 'many' });
    const list = async (params: Record<string, string>) => {
      const answer = await ask(model, 'listVolumes', { name: 'many', ...params });
      const found = names(answer, 'volume');
      return Array.isArray(answer) || !Array.isArray(found) ? answer : found.length;
    };
    expect(await list({})).toBe(500);
    expect(await list({ pagesize: '-1' })).toBe(501);
    expect(await list({ page: '2', pagesize: '500' })).toBe(1);
    expect(await list({ pagesize: '10' })).toEqual([
      431,
      '"page" parameter is required when "pagesize" is specified',
    ]);
    expect(await list({ page: '1' })).toEqual([
      431,
      expect.stringContaining('"pagesize" parameter is required'),
    ]);
    expect(await list({ page: '1', pagesize: '-1' })).toEqual([431, expect.any(String)]);
    expect(await list({ page: '1', pagesize: '501' })).toEqual([
      431,
      "Page size can't exceed max allowed page size value: 500",
    ]);
  });

  it('a deleted volume is an empty list, one that never existed is 431', async () => {
    const { model, clock, volume: make } = makeWorld();
    const volume = await make();
    const deleted = model.deleteVolume(volume.id);
    await clock.advance(100);
    await deleted;
    expect(await ask(model, 'listVolumes', { id: volume.id })).toEqual({});
    expect(await ask(model, 'listVolumes', { id: 'no-such-id' })).toEqual([
      431,
      expect.stringContaining('listvolumes due to invalid value. Invalid parameter id value=no-such-id '),
    ]);
  });

  it('names: the whole name of a volume whatever its case, a part of the name of a VM', async () => {
    const { model } = makeWorld();
    create(model, { name: 'Data' });
    create(model, { name: 'Data-2' });
    expect(names(await ask(model, 'listVolumes', { name: 'dATA' }), 'volume')).toEqual(['Data']);
    expect(names(await ask(model, 'listVirtualMachines', { name: 'LIAN' }), 'virtualmachine')).toEqual([
      'appliance',
    ]);
  });

  it('a volume shows its VM only while it is attached, and never a null', async () => {
    const { model, attached, volume: make } = makeWorld();
    const [free, held] = [await make('free'), await attached('held')];
    const one = async (id: string) => {
      const answer = JSON.stringify(await ask(model, 'listVolumes', { id }));
      expect(answer).not.toContain('null');
      return JSON.parse(answer).volume[0];
    };
    const shown = ['virtualmachineid', 'vmname', 'vmstate', 'deviceid', 'attached'];
    const unattached = await one(free.id);
    expect(shown.filter((key) => key in unattached)).toEqual([]);
    expect(unattached).toMatchObject({ state: 'Allocated', hypervisor: 'None', destroyed: false });
    expect(await one(held.id)).toMatchObject({
      type: 'DATADISK',
      deviceid: 1,
      size: 1024 ** 3,
      virtualmachineid: model.applianceVmId,
      vmname: 'appliance',
      vmstate: 'Running',
      attached: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+0000$/),
    });
  });

  it('pending jobs, and nothing once they have ended', async () => {
    const { model, settle } = makeWorld();
    const { job, volume } = create(model);
    expect(await ask(model, 'listAsyncJobs')).toMatchObject({
      count: 1,
      asyncjobs: [{ jobid: job.id, jobstatus: 0, jobinstancetype: 'Volume', jobinstanceid: volume.id }],
    });
    await settle();
    expect(await ask(model, 'listAsyncJobs')).toEqual({});
  });

  it('zones, offerings, capabilities and commands', async () => {
    const { model } = makeWorld();
    model.inventory.addZone('closed', 'Disabled');
    expect(names(await ask(model, 'listZones'), 'zone')).toEqual(['zone-1', 'closed']);
    expect(names(await ask(model, 'listZones', { available: 'true' }), 'zone')).toEqual(['zone-1']);
    expect(await ask(model, 'listDiskOfferings')).toMatchObject({
      diskoffering: [
        { name: 'Custom', iscustomized: true, disksize: 0 },
        { name: 'Small', iscustomized: false, disksize: 5 },
      ],
    });
    expect(await ask(model, 'listCapabilities')).toMatchObject({
      capability: {
        cloudstackversion: '4.20.0.0',
        customdiskofferingminsize: 1,
        customdiskofferingmaxsize: 1024,
      },
    });
    expect(await ask(model, 'listApis', { name: 'attachVolume' })).toMatchObject({
      count: 1,
      api: [{ name: 'attachVolume', isasync: true }],
    });
  });

  it('a parameter that is missing, and a number that is none', async () => {
    const { model } = makeWorld();
    expect(await ask(model, 'attachVolume', { id: model.volumes[0]?.id ?? '' })).toEqual([
      431,
      'Unable to execute API command attachvolume due to missing parameter virtualmachineid',
    ]);
    const zoneid = model.inventory.firstZone().id;
    const diskofferingid = model.offerings[0]?.id ?? '';
    expect(await ask(model, 'createVolume', { name: 'x', zoneid, diskofferingid, size: '1.5' })).toEqual([
      431,
      'Unable to execute API command createvolume due to invalid value 1.5 for parameter size',
    ]);
  });
});

describe('the wire', () => {
  const url = (query: string) => new URL(`http://localhost/client/api?${query}`);
  const FORM = 'application/x-www-form-urlencoded; charset=UTF-8';

  it('reads query and form; the query wins, then the last of two; a name without = is dropped', () => {
    expect([...readParams(url('a=1&a=2&b&c=x+y%20z'), FORM, 'a=3&d=4')]).toEqual([
      ['a', '2'],
      ['d', '4'],
      ['c', 'x y z'],
    ]);
    expect([...readParams(url(''), 'application/json', 'a=1')]).toEqual([]);
  });

  it('an error answers under its command, 432 and unknown commands under errorresponse', () => {
    const error = new ApiError(431, 'wrong', 4350);
    expect(JSON.parse(asJson(failure('attachVolume', true, error)))).toEqual({
      attachvolumeresponse: { uuidList: [], errorcode: 431, cserrorcode: 4350, errortext: 'wrong' },
    });
    expect(failure('nonsense', false, error).key).toBe('errorresponse');
    expect(failure('listZones', true, new ApiError(432, 'no')).key).toBe('errorresponse');
    expect(asJson(failure('listZones', true, new ApiError(401, 'no', null)))).not.toContain('cserrorcode');
  });

  it('control characters come out raw, as from the real writer', () => {
    expect(asJson(success('listZones', { text: 'a\u0001b' }))).toBe(
      '{"listzonesresponse":{"text":"a\u0001b"}}',
    );
  });

  it('answers in XML unless JSON is asked for', () => {
    expect(
      asXml(success('listZones', { count: 2, zone: [{ name: 'a<b' }, { name: 'c', none: undefined }] })),
    ).toBe(
      '<?xml version="1.0" encoding="UTF-8"?><listzonesresponse cloud-stack-version="4.20.0.0">' +
        '<count>2</count><zone><name>a&#60;b</name></zone><zone><name>c</name></zone></listzonesresponse>',
    );
  });
});
