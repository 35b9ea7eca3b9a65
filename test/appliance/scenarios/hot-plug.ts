import { once } from 'node:events';
import { readEvents } from '~/cli/client/event-stream';
import type { OperationReply } from '~/lab/client';
import { check, type Scenario } from '../scenario';
import type { World } from '../world';

const VOLUMES = 5;
const ROUNDS = 10;

/** One attach, in ms after device_add was sent. */
interface Measured {
  /** The kernel has said `[vdX] … logical blocks`. */
  readonly kernel: number;
  readonly mapped: number;
  readonly exported: number;
  readonly completed: number;
}

/** A figure, not a judgement: nothing here fails because a machine is slow. */
export const hotPlug: Scenario = {
  name: 'hot-plug',
  story: `latency of ${VOLUMES * ROUNDS} attaches: device_add → kernel shows the disk → mapping committed → export answering`,
  machines: ['pc'],
  async run(world) {
    const ids = await world.createMany(VOLUMES);
    const measured: Measured[] = [];
    let error = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const id of ids) {
        const clock = await readClocks(world, `${round}-${id}`);
        error = Math.max(error, clock.uncertainty);
        const ended = await world.attach(id);
        measured.push(await measure(world, id, ended, clock));
      }
      await Promise.all(ids.map((id) => world.detach(id)));
    }
    check(measured.length === VOLUMES * ROUNDS, 'attaches are missing');
    const lines = [
      `n=${measured.length}, ms after device_add, clocks compared to ±${error.toFixed(0)} ms`,
      row(
        'kernel shows the disk',
        measured.map(({ kernel }) => kernel),
      ),
      row(
        'mapping committed',
        measured.map(({ mapped }) => mapped),
      ),
      row(
        'export answering',
        measured.map(({ exported }) => exported),
      ),
      row(
        'operation completed',
        measured.map(({ completed }) => completed),
      ),
      row(
        'our share (completed − kernel)',
        measured.map(({ completed, kernel }) => completed - kernel),
      ),
    ];
    return lines.join('\n    ');
  },
};

interface Clocks {
  /** Guest's wall clock − host's wall clock, ms. */
  readonly ahead: number;
  /** Guest's wall clock − its kernel log's clock, ms. */
  readonly sinceBoot: number;
  /** Half of the shortest round trip, ms. */
  readonly uncertainty: number;
}

/** Compares three clocks: the shortest of several round trips says most. */
async function readClocks(world: World, mark: string): Promise<Clocks> {
  const socket = await world.machine.agent.open(
    `a=$EPOCHREALTIME; echo "clock ${mark}" > /dev/kmsg; echo "mark $a"; while read -r line; do echo "now $EPOCHREALTIME"; done`,
  );
  socket.setEncoding('utf8');
  let text = '';
  socket.on('data', (chunk: string) => {
    text += chunk;
  });
  const lineAfter = async (lines: number) => {
    while (text.split('\n').length <= lines) await once(socket, 'data');
    return Number(text.split('\n')[lines - 1]?.split(' ')[1]) * 1000;
  };
  const marked = await lineAfter(1);
  let best = { ahead: 0, uncertainty: Number.POSITIVE_INFINITY };
  for (let turn = 0; turn < 8; turn += 1) {
    const asked = Date.now();
    const began = performance.now();
    socket.write('\n');
    const now = await lineAfter(turn + 2);
    const trip = performance.now() - began;
    if (trip / 2 < best.uncertainty) best = { ahead: now - (asked + trip / 2), uncertainty: trip / 2 };
  }
  socket.destroy();
  const logged = await kernelLog(world, `clock ${mark}`);
  return { ...best, sinceBoot: marked - logged };
}

/** Time of the last line of the kernel log that contains this text, ms since boot. */
async function kernelLog(world: World, text: string): Promise<number> {
  const line = await world.machine.agent.run(`dmesg | grep -F '${text}' | tail -1`);
  const seconds = /^\[\s*(\d+\.\d+)\]/.exec(line)?.[1];
  check(seconds !== undefined, `the kernel log does not say ${JSON.stringify(text)}`);
  return Number(seconds) * 1000;
}

async function measure(world: World, id: string, ended: OperationReply, clocks: Clocks): Promise<Measured> {
  const sent = world.guest.pluggedAt.get(id);
  check(sent !== undefined, 'the disk was never plugged');
  const name = String(ended.response?.device_path).replace('/dev/', '');
  const kernel = (await kernelLog(world, `[${name}] `)) + clocks.sinceBoot - clocks.ahead - sent;
  const entries = await journal(world, ended.id);
  const at = (step: string) => {
    const entry = entries.find((one) => one.step === step && one.state === 'done');
    check(entry !== undefined, `the journal has no ${step}`);
    return Date.parse(entry.at) - clocks.ahead - sent;
  };
  const completed =
    'completed_at' in ended ? Date.parse(String(ended.completed_at)) - clocks.ahead - sent : Number.NaN;
  return { kernel, mapped: at('map'), exported: at('publish'), completed };
}

interface Entry {
  readonly step: string;
  readonly state: string;
  readonly at: string;
}

/** The journal of an operation that has ended: the stream tells all of it and closes. */
async function journal(world: World, operationId: string): Promise<Entry[]> {
  const stream = await fetch(`${world.api.url}/api/v1/operations/${operationId}/events`);
  const entries: Entry[] = [];
  for await (const { data } of readEvents(stream.body ?? [])) entries.push(JSON.parse(data));
  return entries;
}

function row(name: string, values: readonly number[]): string {
  const sorted = [...values].sort((a, b) => a - b);
  const quantile = (q: number) =>
    (sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN).toFixed(0);
  return `${name.padEnd(32)} p50 ${quantile(0.5).padStart(6)}   p99 ${quantile(0.99).padStart(6)}   max ${quantile(1).padStart(6)}`;
}
