import { check, type Scenario } from '../scenario';
import { APPLIANCE_VM } from '../world';

/** How a disk of the appliance itself may be in use. */
const USES = [
  ['mounted', 'mkfs.ext4 -q $1 && mkdir -p /srv/data && mount $1 /srv/data'],
  ['lvm', 'pvcreate -qq -y -ff $1 && vgcreate -qq own $1 && lvcreate -qq -y -n lv -L 64M own'],
  ['swap', 'mkswap -q $1 >/dev/null && swapon $1'],
] as const;

export const ownDisks: Scenario = {
  name: 'own-disks',
  story:
    'volumes attached by hand and mounted, in LVM, swapped on: exported by no door, named by sync and health',
  machines: ['pc', 'q35'],
  async run(world) {
    const { agent } = world.machine;
    const ids = await world.createMany(USES.length);
    await agent.run('systemctl stop volume-daemon');
    for (const [n, [, script]] of USES.entries()) {
      const volumeId = ids[n] ?? '';
      world.cloud.model.attachVolume({ id: volumeId, vmId: APPLIANCE_VM, deviceId: null, jobId: null });
      await world.until('the disk is there', async () => world.guest.plugged().includes(volumeId));
      const serial = volumeId.replaceAll('-', '').slice(0, 20);
      await agent.run(`for try in $(seq 300); do d=$(grep -l ${serial} /sys/block/vd*/serial) && break; sleep 0.1; done
        set -- /dev/$(basename $(dirname $d)); udevadm settle; ${script}; status=$?; udevadm settle; exit $status`);
    }
    await agent.run('systemctl start volume-daemon');
    await world.ready();
    const codes: string[] = [];
    await world.until('sync names all of them', async () => {
      const used = (await world.sync()).filter(({ kind }) => kind === 'used-by-system');
      return ids.every((id) => used.some(({ volume_id }) => volume_id === id));
    });
    for (const id of ids) {
      const ended = await world.outcome(await world.requestAttach(id));
      const code = 'error_code' in ended ? String(ended.error_code) : 'none';
      check(ended.status === 'failed' && code === 'DEVICE_IN_USE', `attach ${ended.status} (${code})`);
      const answer = await fetch(`${world.api.url}/api/v1/exports`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ volume_id: id }),
      });
      const said = await answer.text();
      check(answer.status >= 400 && answer.status < 500, `POST /exports answered ${answer.status}: ${said}`);
      codes.push(/"code":"([A-Z_]+)"/.exec(said)?.[1] ?? String(answer.status));
    }
    check((await world.api.get<unknown[]>('/api/v1/exports')).length === 0, 'a disk in use is exported');
    check((await agent.run('ls /run/volume-daemon/exports')) === '', 'a disk in use has a link');
    const health = await agent.run(
      'curl -s http://127.0.0.1:8090/api/v1/health 2>/dev/null || volumectl health || true',
    );
    check(/used.by.(?:the.|this.)?system/i.test(health), `health does not say it: ${health}`);
    await agent.run('findmnt /srv/data && lvs own/lv && swapon --show | grep -q vd');
    return `attach: DEVICE_IN_USE, POST /exports: ${[...new Set(codes)].join(', ')}`;
  },
};
