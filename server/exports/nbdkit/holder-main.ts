import { type ChildProcess, spawn } from 'node:child_process';
import { Server } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { writeDurably } from '../../core/durable-files';
import { tlsArguments } from '../protocol/tls';
import { Holder } from './holder';
import { readHolderOptions } from './holder-options';
import { rateOfClient } from './sessions';

/*
 * The program that holds the listening socket of the exports (docs/reference/exports.md). Two ways to run it:
 * - systemd has the socket and hands it over as descriptor 3 (volume-daemon-nbd.socket): it lives through
 *   every restart of this program.
 * - With --listen it makes the socket itself and starts a twin that shares it. Whichever of the two dies, the
 *   other starts a new twin: the socket is never without somebody who accepts.
 */

/** systemd passes sockets from this descriptor on, in the order of its unit. */
const SYSTEMD_SOCKET = 3;
/** A twin that dies at once again and again must not take all of the processor. */
const TWIN_PAUSE_MS = 100;
/** Until a program that was started with settings it cannot run with ends. */
const FAILED_START_PAUSE_MS = 2_000;
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

/** Sockets that systemd has handed over. */
const passed = Number(process.env.LISTEN_FDS ?? 0);
const options = await settled(() => readHolderOptions(process.argv.slice(2)));
const holder = new Holder({
  nbdkit: options.nbdkit,
  args: await settled(() => tlsArguments(options.tls, options.tlsDir)),
  rate: rateOfClient(options.maxBytesPerSecond, options.maxPerExport),
  doors: [
    { exportsDir: options.exportsDir, readOnly: false },
    { exportsDir: options.readOnlyDir, readOnly: true },
  ],
  bounds: {
    connections: options.maxConnections,
    perExport: options.maxPerExport,
    handshakeMs: options.handshakeMs,
  },
  log,
});
/** The other one of the two, when there is one. */
let other: Pick<ChildProcess, 'send'> | null = null;
// With a callback a closed channel is no error: the end of the other one is heard of in its own way.
holder.onStart = (pid) => void other?.send(pid, () => {});
process.on('SIGTERM', () => (other ? other.send(STOP, () => process.exit(0)) : process.exit(0)));

await holder.adopt();
if (passed > 0)
  for (const door of holder.sockets.keys()) {
    // A unit that was changed to one socket has no read-only exports.
    if (door < passed) await listen(door, { fd: SYSTEMD_SOCKET + door });
  }
else if (process.send) beTwin({ send: process.send.bind(process) });
else await listenWithTwin(options.listen);

/** What the settings lead to. Where they lead to nothing, this program ends, and says why. */
async function settled<T>(read: () => T | Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    log(error instanceof Error ? error.message : String(error));
    // systemd starts it again at once, because whoever connects waits meanwhile: the same words
    // would fill the journal.
    if (passed > 0) await pause(FAILED_START_PAUSE_MS);
    process.exit(1);
  }
}

function listen(...where: Parameters<Holder['listen']>): Promise<void> {
  return holder.listen(...where).catch((error: unknown) => fail(`it cannot listen: ${String(error)}`));
}

async function listenWithTwin(addresses: readonly (string | undefined)[]): Promise<void> {
  for (const [door, address] of addresses.entries()) {
    const [, host, port] =
      /^\[?([^\]]+)\]?:(\d+)$/.exec(address ?? '') ?? fail(`${address ?? 'nothing'} is no address:port`);
    await listen(door, { host, port: Number(port) });
  }
  await writePid();
  startTwin();
}

/** It has no socket yet: the other one sends it. */
function beTwin(parent: Pick<ChildProcess, 'send'>): void {
  other = parent;
  process.on('message', (message: unknown, socket: unknown) => {
    hear(message);
    if (socket instanceof Server) void listen(doorIn(message), socket);
  });
  // Killed before it could send the sockets: the daemon starts anew.
  const endAlone = () => fail('the other holder is gone, and the socket with it');
  process.on('disconnect', () => {
    if (!holder.isListening) endAlone();
    startTwin();
    void writePid();
  });
  // It may have been killed before anybody listened for that.
  parent.send(READY, (error) => void (error && endAlone()));
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
  for (const [door, socket] of holder.sockets.entries()) twin.send({ door }, socket);
  for (const pid of holder.clients) twin.send(pid, () => {});
}

/** Which of the sockets came with this message. */
function doorIn(message: unknown): number {
  const isDoor = typeof message === 'object' && message !== null && 'door' in message;
  return isDoor && typeof message.door === 'number' ? message.door : fail('a socket came without its number');
}

function hear(message: unknown): void {
  if (typeof message === 'number') holder.know(message);
  if (message === STOP) process.exit(0);
}

/** A hint for the daemon, which never reads half a number, and finds this process without it, too. */
async function writePid(): Promise<void> {
  if (options.pidFile === undefined) return;
  await writeDurably(options.pidFile, `${process.pid}\n`).catch((error: unknown) =>
    log(`the pid file could not be written: ${String(error)}`),
  );
}
