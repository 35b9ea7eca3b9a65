import { once } from 'node:events';
import { readdirSync, statSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import type { DaemonProcess } from '~/lab/daemon';
import { atMost, type Bench, type Suite } from '../bench';
import { pause, withLab } from '../lab';
import { residentMiB } from '../measure';
import { addOperations } from '../rows';

const OPERATIONS = 5_000;
const LONGEST_PAGE = '/api/v1/operations?limit=1000';
const UI = '.output/public/ui';
/** Connections, and requests that each of them sends at once. */
const CROWDS = [
  { connections: 8, requests: 1_000 },
  { connections: 900, requests: 1 },
] as const;
/** What everybody else asks meanwhile. */
const OTHERS = ['/health', '/api/v1/operations?limit=10', '/api/v1/health'];

export const unread: Suite = {
  name: 'unread',
  about: 'clients that send requests for the longest page and the largest file, and read nothing',
  run: (bench) =>
    withLab({}, async (lab) => {
      const first = await lab.startDaemon();
      await first.stop();
      await addOperations(lab, { from: 0, to: OPERATIONS });
      const file = `/ui/${largestFile()}`;
      for (const path of [LONGEST_PAGE, file]) {
        for (const crowd of CROWDS) {
          const daemon = await lab.startDaemon();
          await measure(bench, daemon, path, crowd);
          await daemon.stop();
        }
      }
    }),
};

async function measure(
  bench: Bench,
  daemon: DaemonProcess,
  path: string,
  { connections, requests }: (typeof CROWDS)[number],
): Promise<void> {
  const label = `${connections} × ${requests} unread ${path}`;
  bench.progress(label);
  const { port, hostname } = new URL(daemon.url);
  // What the first answers of a process cost is not what those who do not read cost.
  for (let n = 0; n < 20; n += 1)
    for (const other of [...OTHERS, path]) await (await fetch(`${daemon.url}${other}`)).arrayBuffer();
  const before = residentMiB(daemon.pid);
  let most = before;
  const times: number[] = [];
  const text = `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`.repeat(requests);
  const sockets = await Promise.all(Array.from({ length: connections }, () => open(Number(port), hostname)));
  for (const socket of sockets) socket.write(text);
  const end = performance.now() + (bench.quick ? 3_000 : 20_000);
  for (let n = 0; performance.now() < end; n += 1) {
    const begin = performance.now();
    const answer = await fetch(`${daemon.url}${OTHERS[n % OTHERS.length]}`);
    await answer.arrayBuffer();
    if (!answer.ok) throw new Error(`Others are answered with ${answer.status}`);
    times.push(performance.now() - begin);
    most = Math.max(most, residentMiB(daemon.pid));
    await pause(10);
  }
  for (const socket of sockets) socket.destroy();
  bench.add(`memory for ${label}`, most - before, 'MiB', atMost(64), `${before.toFixed(0)} before`);
  bench.addTimes(`others beside ${label}`, times, atMost(200));
}

/** A connection that reads nothing. */
async function open(port: number, host: string): Promise<Socket> {
  const socket = connect(port, host);
  socket.on('error', () => undefined);
  socket.pause();
  await once(socket, 'connect');
  return socket;
}

function largestFile(): string {
  const sized = readdirSync(UI)
    .filter((name) => !name.endsWith('.gz'))
    .map((name) => ({ name, bytes: statSync(join(UI, name)).size }));
  return sized.sort((a, b) => b.bytes - a.bytes)[0]?.name ?? '';
}
