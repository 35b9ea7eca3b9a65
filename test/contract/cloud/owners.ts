import { expect, it } from 'vitest';
import type { ModelOptions } from '~/lab/cloudstack/model';
import type { Cloud } from '~/server/cloudstack/cloud';
import { QUICK, type StartCloud, World } from './world';

/** Whose volumes are, for keys of a user and of a root administrator. */
export function owners(start: StartCloud): void {
  const ownerOf = async (cloud: Cloud, vmId: string) => {
    const vm = await cloud.readVm(vmId);
    return vm.kind === 'seen' ? vm.value.owner : null;
  };
  /** Creates for the owner of the VM, attaches to it, and tells whose the volume is. */
  const createFor = async (world: World, vmId: string) => {
    const owner = await world.cloud.newVolumeOwner(await ownerOf(world.cloud, vmId));
    const command = world.createCommand('owned');
    const created = await world.done(command.name === 'createVolume' ? { ...command, owner } : command);
    const volumeId = created.volumeId ?? '';
    expect(await world.done(world.attach(volumeId, vmId))).toMatchObject({ status: 'succeeded' });
    const listed = await world.cloud.listVolumes({ vmId });
    expect(listed.map(({ id }) => id)).toContain(volumeId);
    const volume = await world.cloud.readVolume(volumeId);
    return { named: owner, owner: volume.kind === 'seen' ? volume.value.owner : null };
  };
  const withCloud = async (options: Partial<ModelOptions>, work: (world: World) => Promise<void>) => {
    const under = await start({ latencies: QUICK, ...options });
    try {
      await work(new World(under));
    } finally {
      await under.stop();
    }
  };

  it('a root key creates for the account of the VM', () =>
    withCloud({ account: 'admin' }, async (world) => {
      const { id } = world.model.addVm({
        name: 'theirs',
        accountId: world.model.accounts.require('plain').id,
      });
      const { named, owner } = await createFor(world, id);
      expect([named, owner]).toEqual([owner, expect.objectContaining({ account: 'plain', projectId: null })]);
    }));

  it("a user's key names nobody: what it creates is its own", () =>
    withCloud({ account: 'plain' }, async (world) => {
      const { named, owner } = await createFor(world, world.model.applianceVmId);
      expect([named, owner]).toEqual([null, expect.objectContaining({ account: 'plain', projectId: null })]);
    }));

  it.each(['admin', 'plain'])(
    'a key of %s creates for the project of the VM, and sees what is in it',
    (account) =>
      withCloud({ account }, async (world) => {
        const project = world.model.accounts.addProject('migration', ['plain']);
        const { id } = world.model.addVm({ name: 'in-project', accountId: project.id });
        const { named, owner } = await createFor(world, id);
        const projectId = project.project?.id;
        expect([named, owner]).toEqual([
          expect.objectContaining({ projectId, account: null }),
          expect.objectContaining({ projectId }),
        ]);
        // What belongs to no project is in the same list.
        const own = await world.create('own');
        const ids = (await world.cloud.listVolumes({})).map((volume) => volume.id);
        expect(ids).toContain(own);
      }),
  );

  it('what belongs to another account, or to a project of others, is not shown and not denied', () =>
    withCloud({ account: 'plain' }, async (world) => {
      const { model, cloud } = world;
      const project = model.accounts.addProject('secret', ['other']);
      const theirs = [project.id, model.accounts.require('other').id].map((accountId) =>
        model.addVm({ name: 'theirs', accountId }),
      );
      for (const { id } of theirs) expect((await cloud.readVm(id)).kind).toBe('unknown');
    }));

  it('an owner that is not known is not named', () =>
    withCloud({}, async ({ cloud }) => {
      expect(await cloud.newVolumeOwner(null)).toBeNull();
    }));
}
