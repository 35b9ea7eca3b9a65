import { spawn } from 'node:child_process';
import { createServer, type ListenOptions, type Server, type Socket } from 'node:net';
import { end, isOfThisUser, pidsNamed } from '../../devices/sysfs/process-table';
import { refuse } from './refusal';
import {
  type Door,
  SESSION_ENVIRONMENT,
  type SessionBounds,
  type SessionOptions,
  type SessionProcesses,
  Sessions,
  SHELL,
  sessionCommand,
  sessionsOf,
} from './sessions';

export interface HolderOptions extends SessionOptions {
  /** A listening socket each. */
  readonly doors: readonly Door[];
  readonly bounds: SessionBounds;
  readonly log: (line: string) => void;
}

/** How often the new clients are looked at until each has asked for an export, ms. */
const REVIEW_MS = 50;

/**
 * Accepts clients and starts an nbdkit for each, which gets the connection as its standard input and output
 * and outlives the holder. So the holder can be killed, restarted and upgraded under running copies.
 */
export class Holder {
  /** The sockets, for another holder; in the order of the doors. */
  readonly sockets: readonly Server[];
  private readonly processes: SessionProcesses;
  private readonly sessions: Sessions;
  private reviewing: NodeJS.Timeout | null = null;

  constructor(private readonly options: HolderOptions) {
    this.processes = sessionsOf(options.doors.map(({ exportsDir }) => exportsDir));
    this.sessions = new Sessions(options.bounds, this.processes);
    // A handshake is many small packets; none may wait for the acknowledgement of the one before. A machine
    // that is gone without a word is noticed by the kernel, as patiently as the socket or the system says:
    // its nbdkit would wait for ever, and take the place of other clients.
    const accepted = { pauseOnConnect: true, noDelay: true, keepAlive: true };
    this.sockets = options.doors.map((door) => createServer(accepted, (socket) => this.accept(socket, door)));
  }

  /** Accepts from now on: an address, an open descriptor, or a socket that another holder has. */
  listen(door: number, where: ListenOptions | { readonly fd: number } | Server): Promise<void> {
    return new Promise((resolve, reject) => {
      this.sockets[door]?.once('error', reject).listen(where, () => resolve());
    });
  }

  get isListening(): boolean {
    return this.sockets.every(({ listening }) => listening);
  }

  /** Clients that are let in at the moment. */
  get clients(): readonly number[] {
    return this.sessions.pids();
  }

  /**
   * Counts the clients that processes of an earlier holder serve. What another user has made look like one
   * would take the place of a client, and could not be ended.
   */
  async adopt(): Promise<void> {
    for (const pid of await pidsNamed(SHELL))
      if (this.processes.isServing(pid) && isOfThisUser(pid)) this.know(pid);
  }

  /** A client that another holder has let in. */
  know(pid: number): void {
    this.sessions.add(pid, performance.now());
    this.reviewSoon();
  }

  /** Told of every client that is let in, so that another holder can count it. */
  onStart: (pid: number) => void = () => {};

  private accept(socket: Socket, door: Door): void {
    const { nbdkit, log } = this.options;
    const peer = `${socket.remoteAddress ?? '?'}:${socket.remotePort ?? '?'}`;
    const reason = this.sessions.refusal();
    if (reason !== null) {
      log(`refused ${peer}: ${reason}`);
      refuse(socket, reason);
      return;
    }
    socket.on('error', () => socket.destroy());
    const [program = '', ...words] = sessionCommand(this.options, door);
    const child = spawn(program, words, {
      stdio: [socket, socket, 'inherit'],
      // Its own session and process group: what ends the holder does not end it.
      detached: true,
      env: { PATH: process.env.PATH, ...SESSION_ENVIRONMENT },
    });
    child.once('error', (error) => {
      log(`no ${nbdkit} for ${peer}: ${error.message}`);
      socket.destroy();
    });
    child.once('spawn', () => {
      // Ours is a copy: closing it leaves the connection to nbdkit.
      socket.destroy();
      const { pid } = child;
      if (pid === undefined) return;
      child.once('exit', () => this.sessions.ended(pid));
      this.know(pid);
      this.onStart(pid);
    });
  }

  private reviewSoon(): void {
    this.reviewing ??= setTimeout(() => {
      this.reviewing = null;
      for (const { pid, reason } of this.sessions.review(performance.now())) {
        this.options.log(`ended the client of nbdkit ${pid}: ${reason}`);
        // The whole group: shell and nbdkit.
        end(-pid);
      }
      if (this.sessions.areUndecided) this.reviewSoon();
    }, REVIEW_MS);
  }
}
