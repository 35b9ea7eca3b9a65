import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readEvents } from '~/cli/client/event-stream';
import type { LabAppliance } from '~/lab/appliance';
import { ApiClient, type OperationReply } from '~/lab/client';
import { createSysfsGuest as createLabGuest } from '~/lab/guest/sysfs-guest';
import { systemClock, systemRandom } from '~/server/core/clock';
import { LIMITS } from '~/server/core/limits';
import { expectedSerial } from '~/server/devices/serial';
import { createSysfsGuest } from '~/server/devices/sysfs/sysfs-guest';
import { atMost, type Bench, type Suite } from '../bench';
import { GIB, newVolume, pause, withLab } from '../lab';
import { cpuTime } from '../measure';

const COUNTS = [8, 64, 256] as const;
/** ms between two looks when nobody waits. */
const IDLE_POLL = 2_000;

/** What watching costs, and how soon a disk that is there is in the database. */
export const devices: Suite = {
  name: 'devices',
  about:
    'the cost of a look at 8, 64 and 256 disks, device visible → mapping committed, idle CPU with 64 disks',
  run: async (bench) => {
    for (const count of COUNTS) await looks(bench, count);
    await withLab({}, async (lab) => {
      const daemon = await lab.startDaemon();
      await commits(bench, lab, new ApiClient(daemon.url));
      await idle(bench, lab, daemon.pid, 8, 8);
      await idle(bench, lab, daemon.pid, 56, 64);
      await daemon.stop();
    });
  },
};

/** What the daemon costs while nothing happens, with so many disks more. */
async function idle(bench: Bench, lab: LabAppliance, pid: number, more: number, count: number) {
  bench.progress(`idle with ${count} disks`);
  for (let index = 0; index < more; index += 1) await lab.guest.plug(someDisk());
  // The serials of the new disks are read, and the connection of the last request has gone quiet.
  await pause(bench.quick ? 5_000 : 15_000);
  const seconds = bench.quick ? 5 : 60;
  const before = cpuTime(pid);
  await pause(seconds * 1_000);
  const share = (cpuTime(pid) - before) / (seconds * 10);
  bench.add(`idle CPU, ${count} disks, a look every 2 s`, share, '% of a core', atMost(0.5), `${seconds} s`);
}

function someDisk() {
  const volumeId = systemRandom.uuid();
  return { volumeId, size: GIB, serial: expectedSerial(volumeId) };
}

/**
 * Looks at a guest of so many disks, once their serials are known: what happens every 2 s, or every 75 ms
 * while an attach waits.
 */
async function looks(bench: Bench, count: number): Promise<void> {
  bench.progress(`looking at ${count} disks`);
  const dir = await mkdtemp(join(tmpdir(), 'bench-devices-'));
  const files = await createLabGuest({ dir });
  for (let index = 0; index < count; index += 1) await files.plug(someDisk());
  const { sysBlockDir, devDir, procDir, dmiDir } = files;
  const places = { sysBlockDir, devDir, procDir, dmiDir, etcDir: dir };
  const guest = createSysfsGuest({
    exportClients: async () => new Map(),
    ...places,
    clock: systemClock,
  });
  while ((await guest.look()).devices.some(({ serialState }) => serialState === 'pending')) await pause(10);
  const samples: number[] = [];
  const before = process.cpuUsage();
  for (let look = 0; look < (bench.quick ? 50 : 500); look += 1) {
    const begun = performance.now();
    await guest.look();
    samples.push(performance.now() - begun);
  }
  const { user, system } = process.cpuUsage(before);
  const cpu = (user + system) / 1_000 / samples.length;
  bench.addTimes(`a look at ${count} disks`, samples);
  const share = (every: number) => `${((100 * cpu) / every).toFixed(3)} % at ${every} ms`;
  bench.add(
    `CPU of a look at ${count} disks`,
    cpu,
    'ms',
    null,
    `${share(IDLE_POLL)}, ${share(LIMITS.FAST_SCAN_MS)}`,
  );
  await rm(dir, { recursive: true, force: true });
}

/**
 * From the plug in the guest to the journal entry of the mapping, which the event stream sends once it is
 * committed.
 */
async function commits(bench: Bench, lab: LabAppliance, api: ApiClient): Promise<void> {
  bench.progress('device visible → mapping committed');
  const volumeId = await newVolume(lab, api, 'bench');
  const samples: number[] = [];
  for (let run = 0; run < (bench.quick ? 10 : 100); run += 1) {
    const attach = await api.post<OperationReply>(`/api/v1/volumes/${volumeId}/attach`, {
      vm_id: lab.cloud.applianceVmId,
    });
    const committed = await mappedAt(`${api.url}/api/v1/operations/${attach.id}/events`);
    const visible = lab.cloud.model.history
      .events()
      .findLast((event) => event.what === 'plugged' && event.volumeId === volumeId);
    samples.push(committed - (visible?.at ?? Number.NaN));
    await api.end(attach);
    await api.end(await api.post<OperationReply>(`/api/v1/volumes/${volumeId}/detach`));
  }
  bench.addTimes('device visible → mapping committed', samples, atMost(150));
}

/** Wall clock ms at which the stream of an operation tells that its mapping is written. */
async function mappedAt(url: string): Promise<number> {
  const answer = await fetch(url);
  for await (const { data } of readEvents(answer.body ?? []))
    if (JSON.parse(data).step === 'map') return Date.now();
  throw new Error(`${url} ended without a mapping`);
}
