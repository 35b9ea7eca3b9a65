import { type ChildProcess, spawn } from 'node:child_process';
import { renameSync, writeFileSync } from 'node:fs';
import { Server } from 'node:net';
import { parseArgs } from 'node:util';
import { tlsArguments } from '../protocol/tls';
import { Holder } from './holder';

/*
 * The program that holds the listening socket of the exports (docs/reference/exports.md). Two ways to run it:
 * - systemd has the socket and hands it over as descriptor 3 (volume-daemon-nbd.socket): it lives through
 *   every restart of this program.
 * - With --listen it makes the socket itself and starts a twin that shares it. Whichever of the two dies, the
 *   other starts a new twin: the socket is never without somebody who accepts.
 */

const { values } = parseArgs({
  options: {
    exports: { type: 'string' },
    listen: { type: 'string' },
    'pid-file': { type: 'string' },
    nbdkit: { type: 'string', default: 'nbdkit' },
    tls: { type: 'string', default: 'off' },
    'tls-dir': { type: 'string', default: '/etc/volume-daemon/tls' },
    'max-connections': { type: 'string', default: '64' },
    'max-per-export': { type: 'string', default: '16' },
    'handshake-ms': { type: 'string', default: '10000' },
    option: { type: 'string', multiple: true, default: [] },
  },
});
/** systemd passes sockets from this descriptor on. */
const SYSTEMD_SOCKET = 3;
/** A twin that dies at once again and again must not take all of the processor. */
const TWIN_PAUSE_MS = 100;
/** What one tells the other before it ends on purpose. */
const STOP = 'stop';
/**
 * What a new twin says when it can take the socket. Node accepts connections on a socket from the moment it
 * is received, whether or not anybody listens for them: sent too early, a client would wait for ever.
 */
const READY = 'ready';

function log(line: string): void {
  process.stderr.write(`${line}\n`);
}

function fail(reason: string): never {
  log(reason);
  process.exit(1);
}

function number(name: 'max-connections' | 'max-per-export' | 'handshake-ms'): number {
  const value = Number(values[name]);
  return Number.isInteger(value) && value > 0 ? value : fail(`--${name} must be a positive number`);
}

function tlsMode(): 'off' | 'on' | 'require' {
  const { tls } = values;
  return tls === 'off' || tls === 'on' || tls === 'require' ? tls : fail('--tls must be off, on or require');
}

const holder = new Holder({
  nbdkit: values.nbdkit,
  args: [...(await tlsArguments(tlsMode(), values['tls-dir'])), ...values.option],
  exportsDir: values.exports ?? fail('--exports is missing'),
  bounds: {
    connections: number('max-connections'),
    perExport: number('max-per-export'),
    handshakeMs: number('handshake-ms'),
  },
  log,
});
/** The other one of the two, when there is one. */
let other: Pick<ChildProcess, 'send'> | null = null;
// With a callback a closed channel is no error: the end of the other one is heard of in its own way.
holder.onStart = (pid) => void other?.send(pid, () => {});
process.on('SIGTERM', () => (other ? other.send(STOP, () => process.exit(0)) : process.exit(0)));

await holder.adopt();
if (process.env.LISTEN_FDS !== undefined) await listen({ fd: SYSTEMD_SOCKET });
else if (process.send) beTwin({ send: process.send.bind(process) });
else await listenWithTwin(values.listen ?? fail('--listen is missing, and systemd has passed no socket'));

function listen(where: Parameters<Holder['listen']>[0]): Promise<void> {
  return holder.listen(where).catch((error: unknown) => fail(`it cannot listen: ${String(error)}`));
}

async function listenWithTwin(address: string): Promise<void> {
  const [, host, port] = /^\[?([^\]]+)\]?:(\d+)$/.exec(address) ?? fail(`${address} is no address:port`);
  await listen({ host, port: Number(port) });
  writePid();
  startTwin();
}

/** It has no socket yet: the other one sends it. */
function beTwin(parent: Pick<ChildProcess, 'send'>): void {
  other = parent;
  process.on('message', (message: unknown, socket: unknown) => {
    hear(message);
    if (socket instanceof Server) void listen(socket);
  });
  process.on('disconnect', () => {
    // Killed before it could send the socket: the daemon starts anew.
    if (!holder.isListening) fail('the other holder is gone, and the socket with it');
    writePid();
    startTwin();
  });
  parent.send(READY);
}

function startTwin(): void {
  const twin = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    detached: true,
  });
  other = twin;
  twin.on('message', (message) => {
    if (message === READY) share(twin);
    else hear(message);
  });
  // An error of the channel is followed by the exit.
  twin.on('error', (error) => log(`the other holder: ${error.message}`));
  twin.once('exit', () => setTimeout(startTwin, TWIN_PAUSE_MS));
}

function share(twin: ChildProcess): void {
  twin.send('socket', holder.socket);
  for (const pid of holder.clients) twin.send(pid, () => {});
}

function hear(message: unknown): void {
  if (typeof message === 'number') holder.know(message);
  if (message === STOP) process.exit(0);
}

/** A hint for the daemon; renamed into place, so that nobody reads half a number. */
function writePid(): void {
  const path = values['pid-file'];
  if (path === undefined) return;
  writeFileSync(`${path}.new`, `${process.pid}\n`);
  renameSync(`${path}.new`, path);
}
