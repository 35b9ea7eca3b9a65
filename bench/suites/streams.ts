import { randomUUID } from 'node:crypto';
import { readEvents } from '~/cli/client/event-stream';
import { ApiClient, type OperationReply } from '~/lab/client';
import { atMost, type Suite } from '../bench';
import { pause, timeIn, withLab } from '../lab';

const LISTENERS = 64;
/** ms that CloudStack takes to answer, so that every long poll is there before the operation ends. */
const ANSWER = 500;

export const streams: Suite = {
  name: 'streams',
  about: `events to ${LISTENERS} listeners, and ${LISTENERS} long polls that wait for one end`,
  run: (bench) =>
    withLab({}, async (lab) => {
      const daemon = await lab.startDaemon();
      const api = new ApiClient(daemon.url);
      const rounds = bench.quick ? 5 : 50;

      bench.progress(`${LISTENERS} listeners`);
      const leaving = new AbortController();
      const listeners = await Promise.all(
        Array.from({ length: LISTENERS }, () => Listener.open(`${daemon.url}/api/v1/events`, leaving.signal)),
      );
      let last = '';
      for (let round = 0; round < rounds; round += 1) {
        last = (await api.post<OperationReply>(`/api/v1/volumes/${randomUUID()}/detach`)).id;
        // It fails, as CloudStack has no such volume, and that is quicker than any success.
        await api.get(`/api/v1/operations/${last}?wait=25s`);
      }
      for (let tries = 0; tries < 200 && !listeners.every(({ ends }) => ends.has(last)); tries += 1)
        await pause(25);
      leaving.abort();
      const most = Math.max(...listeners.map(({ delays }) => delays.length));
      const lost = listeners.reduce((sum, { delays }) => sum + most - delays.length, 0);
      bench.add('events not delivered', lost, '', atMost(0), `of ${most * LISTENERS}`);
      const delays = listeners.flatMap((listener) => listener.delays);
      bench.addTimes('journal entry made → read by each listener', delays, atMost(50));

      bench.progress(`${LISTENERS} long polls`);
      lab.cloud.model.faults.add({ command: '*', kind: 'delay', ms: ANSWER, times: 1_000_000 });
      const late: number[] = [];
      for (let round = 0; round < rounds; round += 1) {
        const { id } = await api.post<OperationReply>(`/api/v1/volumes/${randomUUID()}/detach`);
        const polls = Array.from({ length: LISTENERS }, async () => {
          const reply = await api.get<OperationReply>(`/api/v1/operations/${id}?wait=25s`);
          return Date.now() - timeIn(reply, 'completed_at');
        });
        late.push(...(await Promise.all(polls)));
      }
      bench.addTimes('operation ended → long poll answered', late, atMost(50));
      await daemon.stop();
    }),
};

/** One reader of the event stream, and when it got what. */
class Listener {
  /** ms from the time an entry carries. */
  readonly delays: number[] = [];
  /** Operations whose end it has seen. */
  readonly ends = new Set<string>();

  static async open(url: string, signal: AbortSignal): Promise<Listener> {
    const listener = new Listener();
    const answer = await fetch(url, { signal });
    void listener.read(answer).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
    return listener;
  }

  private async read(answer: Response): Promise<void> {
    for await (const { id, data } of readEvents(answer.body ?? [])) {
      if (id === undefined) continue;
      const { at, operation_id, state } = JSON.parse(data);
      this.delays.push(Date.now() - Date.parse(at));
      if (state === 'failed') this.ends.add(operation_id);
    }
  }
}
