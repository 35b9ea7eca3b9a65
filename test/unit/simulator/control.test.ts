import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Simulator, startSimulator } from '~/lab/cloudstack/http';

let simulator: Simulator;
beforeAll(async () => {
  simulator = await startSimulator();
});
afterAll(() => simulator?.stop());

async function ask(
  method: string,
  path: string,
  body?: unknown,
): Promise<[status: number, content: unknown]> {
  const response = await fetch(`http://127.0.0.1:${simulator.port}${path}`, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return [response.status, await response.json()];
}

describe('the control port beside the API', () => {
  it('arms faults and conditions, lists and clears them', async () => {
    const fault = { command: 'attachVolume', kind: 'agent-fails' };
    expect(await ask('POST', '/faults', fault)).toMatchObject([201, { armed: [fault] }]);
    expect(await ask('DELETE', '/faults')).toEqual([200, { armed: [] }]);
    const condition = { kind: 'database-away', delayMs: 30_000 };
    expect(await ask('POST', '/conditions', condition)).toEqual([201, { holding: [condition] }]);
    expect(await ask('GET', '/conditions')).toEqual([200, { holding: [condition] }]);
    expect(await ask('DELETE', '/conditions')).toEqual([200, { holding: [] }]);
    expect(simulator.model.conditions.lockout(simulator.model.account)).toBeNull();
  });

  it('makes VMs and volumes of other accounts and of projects', async () => {
    const { accounts } = simulator.model;
    const other = accounts.require('other').id;
    expect(await ask('POST', '/volumes', { name: 'data', account: 'other', state: 'Ready' })).toMatchObject([
      201,
      { name: 'data', accountId: other, state: 'Ready', size: 1024 ** 3 },
    ]);
    expect(await ask('POST', '/projects', { name: 'proj', members: ['plain'] })).toMatchObject([
      201,
      { role: 'project', project: { members: [accounts.require('plain').id] } },
    ]);
    expect(await ask('POST', '/vms', { name: 'theirs', account: 'proj' })).toMatchObject([
      201,
      { accountId: accounts.require('proj').id, state: 'Running' },
    ]);
  });

  it('puts a volume or VM into any state', async () => {
    const { model } = simulator;
    const [volume] = model.volumes;
    expect(
      await ask('PATCH', `/volumes/${volume?.id}`, { state: 'UploadError', deleteProtection: true }),
    ).toMatchObject([200, { state: 'UploadError', deleteProtection: true }]);
    expect(await ask('PATCH', `/vms/${model.applianceVmId}`, { state: 'Migrating' })).toMatchObject([
      200,
      { state: 'Migrating' },
    ]);
    expect(volume?.state).toBe('UploadError');
  });

  it('refuses what it does not understand', async () => {
    expect(await ask('POST', '/conditions', { kind: 'weather' })).toMatchObject([
      400,
      { error: expect.any(String) },
    ]);
    expect(await ask('PATCH', '/volumes/nobody', { state: 'Ready' })).toMatchObject([400, {}]);
    expect((await ask('GET', '/weather'))[0]).toBe(404);
  });
});
