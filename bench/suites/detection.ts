import { readdirSync } from 'node:fs';
import type { LabAppliance } from '~/lab/appliance';
import { ApiClient, type OperationReply } from '~/lab/client';
import { atMost, type Suite } from '../bench';
import { newVolume, timeIn, withLab } from '../lab';

/** What the specification's own poll does, beside ours: it looks every two seconds. */
const PLAIN_POLL = 2000;

export const detection: Suite = {
  name: 'detection',
  about: 'device visible in the guest → operation completed, beside a plain 2 s poll',
  run: (bench) =>
    withLab({}, async (lab) => {
      const daemon = await lab.startDaemon();
      const api = new ApiClient(daemon.url);
      const poll = new PlainPoll(lab.guest.sysBlockDir);
      const volumeId = await newVolume(lab, api, 'bench');
      const attach = async () =>
        api.end(
          await api.post<OperationReply>(`/api/v1/volumes/${volumeId}/attach`, {
            vm_id: lab.cloud.applianceVmId,
          }),
        );
      const detach = async () =>
        api.end(await api.post<OperationReply>(`/api/v1/volumes/${volumeId}/detach`));
      const completed: number[] = [];
      bench.progress('attaching and detaching');
      for (let run = 0; run < (bench.quick ? 10 : 100); run += 1) {
        completed.push(timeIn(await attach(), 'completed_at') - visibleSince(lab, volumeId));
        await detach();
      }
      bench.addTimes('device visible → attach completed', completed, atMost(150));
      bench.progress('and at the pace of the plain poll');
      const polled: number[] = [];
      for (let run = 0; run < (bench.quick ? 3 : 20); run += 1) {
        const seen = poll.next();
        await attach();
        polled.push((await seen) - visibleSince(lab, volumeId));
        await detach();
      }
      poll.stop();
      bench.addTimes('device visible → seen by a plain 2 s poll', polled);
      await daemon.stop();
    }),
};

/** Wall clock ms; the simulator notes the moment the disk is plugged. */
function visibleSince(lab: LabAppliance, volumeId: string): number {
  const plugged = lab.cloud.model.history
    .events()
    .findLast((event) => event.what === 'plugged' && event.volumeId === volumeId);
  return plugged?.at ?? Number.NaN;
}

class PlainPoll {
  private without = Number.POSITIVE_INFINITY;
  private tell: (at: number) => void = () => {};
  private readonly timer: NodeJS.Timeout;

  constructor(private readonly dir: string) {
    this.timer = setInterval(() => this.look(), PLAIN_POLL);
  }

  /** Wall clock ms of the look that finds one more disk than there is now. */
  next(): Promise<number> {
    this.without = this.disks();
    return new Promise((resolve) => {
      this.tell = resolve;
    });
  }

  stop(): void {
    clearInterval(this.timer);
  }

  private look(): void {
    if (this.disks() > this.without) this.tell(Date.now());
  }

  private disks(): number {
    return readdirSync(this.dir).length;
  }
}
