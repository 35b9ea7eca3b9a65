import { describe, expect, it } from 'vitest';
import type { Cloud } from '~/server/cloudstack/cloud';
import { CloudError } from '~/server/cloudstack/cloud';
import { DaemonError } from '~/server/core/errors';
import { LIMITS } from '~/server/core/limits';
import { type LogFields, type Logger, silentLogger } from '~/server/core/log/logger';
import { ApplianceIdentity } from '~/server/daemon/identity';
import { absent, seen, unknown } from '~/server/model/evidence';
import { ManualClock } from './manual-clock';

const A = 'aaaaaaaa-1111-4111-8111-aaaaaaaaaaaa';
const B = 'bbbbbbbb-2222-4222-8222-bbbbbbbbbbbb';

const VM = {
  name: 'appliance',
  state: 'Running',
  hypervisor: 'KVM',
  created: null,
  owner: { projectId: null, account: 'ours', domainId: null },
};

interface Sources {
  environment: string | null;
  table: string | null;
  firmware: string | null;
  /** Why the table cannot be read. */
  closed: DaemonError | null;
}

/** The identity of an appliance whose CloudStack knows these VMs, or is away (null). */
function make(sources: Partial<Sources>, vms: readonly string[] | null = [A, B]) {
  const none: Sources = { environment: null, table: null, firmware: null, closed: null };
  const state = { ...none, vms, hidden: false, ...sources };
  const told: { message: string; fields: LogFields }[] = [];
  const note = (message: string, fields: LogFields = {}) => void told.push({ message, fields });
  const logger: Logger = { ...silentLogger, info: note, warn: note, error: note };
  const readVm: Cloud['readVm'] = async (id) => {
    if (state.vms === null) throw new CloudError('away', { kind: 'network', outcome: 'unknown' });
    if (state.hidden) return unknown('the list is empty', 0, 'cloudstack');
    if (!state.vms.includes(id)) return absent('this id names nothing', 0, 'cloudstack');
    return seen({ ...VM, id }, 0, 'cloudstack');
  };
  const identity = new ApplianceIdentity({
    cloud: { readVm },
    logger,
    configuredVmId: state.environment,
    osseaVmId: async () => {
      if (state.closed !== null) throw state.closed;
      return state.table;
    },
    productUuid: async () => state.firmware,
  });
  return { identity, state, told };
}

/** What attach and detach are told. */
function refusal(
  identity: ApplianceIdentity,
): [code: string, message: string, retry: number | null] | string {
  try {
    return `allowed for ${identity.require()}`;
  } catch (error) {
    if (!(error instanceof DaemonError)) throw error;
    return [error.code, error.message, error.retryAfterSeconds ?? null];
  }
}

describe('which VM the daemon believes to be', () => {
  it('unknown: attach and detach are refused, with what to set', async () => {
    const { identity } = make({});
    await identity.resolve();
    await identity.verify();
    expect(refusal(identity)).toEqual([
      'APPLIANCE_UNKNOWN',
      'The daemon does not know which VM it runs on: set OMA_VM_ID or ossea_configs.oma_vm_id',
      30,
    ]);
  });

  it('unknown because a source cannot be read: it is said why, and nobody is told to set what is set', async () => {
    const closed = new DaemonError('DATABASE_UNAVAILABLE', 'The database is away: SELECT command denied');
    const { identity, state } = make({ environment: A, table: B, closed });
    await expect(identity.resolve()).rejects.toBe(closed);
    expect(refusal(identity)).toEqual([
      'APPLIANCE_UNKNOWN',
      'The daemon does not know which VM it runs on: what names it cannot all be read: The database is away: SELECT command denied',
      30,
    ]);
    state.closed = null;
    expect(await identity.resolve()).toMatchObject({ vmId: A, unread: null });
    expect(refusal(identity)).toBe(`allowed for ${A}`);
  });

  it('a VM that CloudStack does not have: refused, naming the id and where it comes from', async () => {
    const { identity, told } = make({ environment: A }, [B]);
    await identity.resolve();
    expect(await identity.verify()).toMatchObject({ vmId: A, verdict: 'refuted' });
    expect(refusal(identity)).toEqual([
      'APPLIANCE_UNKNOWN',
      `CloudStack has no VM ${A} (from OMA_VM_ID): correct OMA_VM_ID or ossea_configs.oma_vm_id`,
      30,
    ]);
    // It is asked every 2 s until somebody has corrected it.
    await identity.verify();
    const errors = told.filter(({ message }) => message.startsWith('CloudStack has no VM'));
    expect(errors, 'logged once').toHaveLength(1);
  });

  it('while CloudStack is away the last verdict holds', async () => {
    const { identity, state } = make({ environment: A }, null);
    await identity.resolve();
    expect(await identity.verify()).toMatchObject({ verdict: 'unverified' });
    expect(refusal(identity)).toBe(`allowed for ${A}`);
    state.vms = [A];
    expect(await identity.verify()).toMatchObject({ verdict: 'confirmed' });
    state.vms = null;
    expect(await identity.verify()).toMatchObject({ verdict: 'confirmed' });
  });

  describe('a copied VM brings the settings of its original along', () => {
    const conflict = `the SMBIOS UUID of this machine says ${B}, but ossea_configs.oma_vm_id says ${A}`;

    it('CloudStack has both: the copy is nobody, because it has none of the disks of the original', async () => {
      const { identity, state, told } = make({ table: A, firmware: B });
      for (let time = 0; time < 3; time += 1) {
        expect(await identity.resolve()).toMatchObject({ vmId: null, source: null, conflicts: [conflict] });
        await identity.verify();
      }
      const because = `ossea_configs says ${A}, and the SMBIOS UUID of this machine ${B}, which CloudStack has as VM appliance: this machine is that one, perhaps a copy; correct OMA_VM_ID or ossea_configs.oma_vm_id`;
      expect(refusal(identity)).toEqual([
        'APPLIANCE_UNKNOWN',
        `The daemon does not know which VM it runs on: ${because}`,
        30,
      ]);
      const errors = told.filter(({ message }) => message === 'Appliance identity contradicted');
      expect(errors, 'logged once').toEqual([
        { message: 'Appliance identity contradicted', fields: { reason: because } },
      ]);
      state.table = B;
      expect(await identity.resolve()).toMatchObject({ vmId: B, conflicts: [], contradicted: null });
      expect(refusal(identity)).toBe(`allowed for ${B}`);
    });

    it('the same where the environment names the original', async () => {
      const { identity } = make({ environment: A, table: B, firmware: B });
      expect(await identity.resolve()).toMatchObject({ vmId: null });
    });

    it('CloudStack is away or shows nothing: nothing begins until it says that the UUID names no VM', async () => {
      const { identity, state } = make({ environment: A, firmware: B }, null);
      expect(await identity.resolve()).toMatchObject({
        vmId: null,
        contradicted: expect.stringContaining('CloudStack cannot be asked: away'),
      });
      Object.assign(state, { vms: [A], hidden: true });
      expect(await identity.resolve()).toMatchObject({
        vmId: null,
        contradicted: expect.stringMatching(
          /does not say that it is no VM: the list is empty; if this machine is that VM, correct OMA_VM_ID .*; else stop and start it in CloudStack/,
        ),
      });
      state.hidden = false;
      expect(await identity.resolve()).toMatchObject({ vmId: A, contradicted: null });
      expect(refusal(identity)).toBe(`allowed for ${A}`);
    });

    it('a UUID that is no VM, as on other hypervisors: the conflict stays visible and is logged once', async () => {
      const { identity, state, told } = make({ table: A, firmware: B }, [A]);
      for (let time = 0; time < 3; time += 1) {
        expect(await identity.resolve()).toMatchObject({
          vmId: A,
          source: 'ossea_configs',
          conflicts: [conflict],
        });
        await identity.verify();
        // What has begun goes on with CloudStack away: the UUID does not change while the machine runs.
        state.vms = null;
      }
      expect(told).toEqual([
        { message: 'Appliance identity', fields: { vm_id: A, source: 'ossea_configs' } },
        { message: 'Appliance identity conflict', fields: { reason: conflict } },
      ]);
    });
  });

  it('all three differ: the environment wins, both others are named', async () => {
    const { identity } = make({ environment: A, table: B, firmware: 'cccccccc-3333-4333-8333-cccccccccccc' });
    const { vmId, source, conflicts } = await identity.resolve();
    expect([vmId, source, conflicts.length]).toEqual([A, 'OMA_VM_ID', 2]);
  });

  it('a key that does not see the VM confirms nothing, and refutes nothing: refused, and it says what to do', async () => {
    const { identity, state, told } = make({ environment: A });
    await identity.resolve();
    state.hidden = true;
    for (let time = 0; time < 3; time += 1)
      expect(await identity.verify()).toMatchObject({ verdict: 'not-visible' });
    const [code, message] = refusal(identity);
    expect([code, message]).toEqual([
      'APPLIANCE_UNKNOWN',
      expect.stringMatching(
        /^CloudStack does not show VM .* to the key of ossea_configs: use a key of the account/,
      ),
    ]);
    const errors = told.filter(({ message: text }) => text.includes('does not see this appliance'));
    expect(errors, 'logged once').toHaveLength(1);
    state.hidden = false;
    expect(await identity.verify()).toMatchObject({ verdict: 'confirmed' });
    expect(refusal(identity)).toBe(`allowed for ${A}`);
  });

  it('what was confirmed is believed for minutes, and asked for at once when somebody could not look', async () => {
    const { identity, state } = make({ environment: A });
    const clock = new ManualClock();
    const { signal } = new AbortController();
    await identity.resolve();
    await identity.verify();
    let due = 0;
    const wait = () =>
      identity.untilDue(clock, signal).then(() => {
        due += 1;
      });
    const first = wait();
    await clock.advance(LIMITS.IDENTITY_RECHECK_MS - 1);
    expect(due).toBe(0);
    state.hidden = true;
    identity.doubt();
    await first;
    expect(await identity.verify()).toMatchObject({ verdict: 'not-visible' });
    // One doubt makes one look, and what is not confirmed is asked for every few seconds.
    const second = wait();
    await clock.advance(LIMITS.HEALTH_RETRY_MS - 1);
    expect(due).toBe(1);
    await clock.advance(1);
    await second;
    expect(due).toBe(2);
  });

  it.each([
    ['another VM', B, `ossea_configs says ${B}`],
    ['nobody', null, 'nothing names a VM any more'],
  ])('stays what it was when the table names %s meanwhile, and says so', async (_what, table, says) => {
    const { identity, state } = make({ table: A });
    await identity.resolve();
    await identity.verify();
    state.table = table;
    expect(await identity.resolve()).toEqual({
      vmId: A,
      source: 'ossea_configs',
      conflicts: [`${says}, but this daemon runs as ${A}: that takes effect at the next start`],
      unread: null,
      contradicted: null,
      verdict: 'confirmed',
    });
    expect(refusal(identity)).toBe(`allowed for ${A}`);
    state.table = A;
    expect(await identity.resolve()).toMatchObject({ vmId: A, conflicts: [] });
  });
});
