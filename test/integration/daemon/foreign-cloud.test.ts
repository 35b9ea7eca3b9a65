import { afterEach, describe, expect, it } from 'vitest';
import { type LabAppliance, startAppliance } from '~/lab/appliance';
import { ApiClient, type OperationReply } from '~/lab/client';
import { type Clock, systemClock } from '~/server/core/clock';

/**
 * A CloudStack whose clock, accounts and projects are not what the daemon would like, as a
 * whole daemon meets it.
 */
let lab: LabAppliance;
afterEach(() => lab?.close());

interface Check {
  readonly ok: boolean;
  readonly problems: readonly string[];
  readonly clock_skew_ms: number | null;
  readonly appliance: {
    readonly verdict: string;
    readonly owner: { readonly account: string | null } | null;
  };
  readonly new_volumes: {
    readonly owner: { readonly project_id: string | null } | null;
    readonly from: string;
  };
}
interface Health {
  readonly details: {
    readonly components: { readonly cloudstack: { readonly status: string; readonly message: string } };
  };
}

const MINUTE = 60_000;

async function createAndAttach(api: ApiClient): Promise<string> {
  const body = {
    name: 'owned',
    size: 1024 ** 3,
    zone_id: lab.cloud.zoneId,
    disk_offering_id: lab.cloud.diskOfferingId,
  };
  const created = await api.end(await api.post<OperationReply>('/api/v1/volumes', body));
  const attach = { vm_id: lab.cloud.applianceVmId };
  const path = `/api/v1/volumes/${created.volume_id}/attach`;
  const attached = await api.end(await api.post<OperationReply>(path, attach));
  expect([created.status, attached.status], JSON.stringify([created, attached])).toEqual([
    'completed',
    'completed',
  ]);
  return created.volume_id;
}

const ownerOf = (volumeId: string) => {
  const { model } = lab.cloud;
  const volume = model.volumes.find(({ id }) => id === volumeId);
  return model.accounts.require(volume?.accountId ?? '').name;
};

describe('CloudStack is not as the daemon would like it', () => {
  it('its clock is 20 minutes ahead and no header says so: everything works, and it is said', async () => {
    const clock: Clock = { ...systemClock, now: () => systemClock.now() + 20 * MINUTE };
    lab = await startAppliance({ cloud: { clock }, env: { NBD_BACKEND: 'none' } });
    const { url } = await lab.startDaemon();
    const api = new ApiClient(url);
    await createAndAttach(api);
    const check = await api.get<Check>('/api/v1/admin/cloudstack');
    expect(check.problems).toEqual([
      expect.stringMatching(
        /^the clock of this machine is (119\d|120\d) s behind CloudStack's: set it right/,
      ),
    ]);
    expect(Math.abs((check.clock_skew_ms ?? 0) - 20 * MINUTE)).toBeLessThan(5_000);
    const { cloudstack } = (await api.get<Health>('/api/v1/health')).details.components;
    expect(cloudstack).toMatchObject({
      status: 'degraded',
      message: expect.stringContaining("s behind CloudStack's"),
    });
  });

  it('the key is a root administrator and the appliance a user: volumes are the user', async () => {
    lab = await startAppliance({ env: { NBD_BACKEND: 'none' } });
    const { model, applianceVmId } = lab.cloud;
    give(model.accounts.require('plain').id, applianceVmId);
    const { url } = await lab.startDaemon();
    const api = new ApiClient(url);
    expect(ownerOf(await createAndAttach(api))).toBe('plain');
    expect(await api.get<Check>('/api/v1/admin/cloudstack')).toMatchObject({
      ok: true,
      appliance: { verdict: 'confirmed', owner: { account: 'plain' } },
      new_volumes: { from: 'appliance' },
    });
  });

  it('the appliance is in a project: volumes too; once its key is no member any more, nothing is attached', async () => {
    lab = await startAppliance({ cloud: { account: 'plain' }, env: { NBD_BACKEND: 'none' } });
    const { model, applianceVmId } = lab.cloud;
    const project = model.accounts.addProject('migration', ['plain']);
    give(project.id, applianceVmId);
    const { url } = await lab.startDaemon();
    const api = new ApiClient(url);
    const volumeId = await createAndAttach(api);
    expect(ownerOf(volumeId)).toBe('migration');
    expect((await api.get<Check>('/api/v1/admin/cloudstack')).new_volumes.owner?.project_id).toBe(
      project.project?.id,
    );
    model.conditions.add({ kind: 'hidden', id: project.id });
    const check = await api.get<Check>('/api/v1/admin/cloudstack');
    expect(check.appliance.verdict).toBe('not-visible');
    expect(check.problems).toEqual([expect.stringContaining('attach and detach are refused')]);
  });
});

/** The VM and its root disk now belong to this account. */
function give(accountId: string, vmId: string): void {
  const { model } = lab.cloud;
  for (const vm of model.vms) if (vm.id === vmId) Object.assign(vm, { accountId });
  for (const volume of model.volumes) if (volume.vmId === vmId) Object.assign(volume, { accountId });
}
