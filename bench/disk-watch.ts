import { once } from 'node:events';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { z } from 'zod';

/** Between two writes; so few of them are no load themselves. */
const PAUSE_MS = 50;

const SOURCE = `
const { closeSync, fdatasyncSync, openSync, writeSync } = require('node:fs');
const { parentPort, workerData: { path, pauseMs } } = require('node:worker_threads');
const file = openSync(path, 'w');
const block = Buffer.alloc(4096);
const samples = [];
const timer = setInterval(() => {
  const begun = performance.now();
  writeSync(file, block, 0, block.length, 0);
  fdatasyncSync(file);
  samples.push(performance.now() - begun);
}, pauseMs);
parentPort.once('message', () => {
  clearInterval(timer);
  closeSync(file);
  parentPort.postMessage(samples);
});`;

/**
 * How long the disk itself takes for a write of 4 KiB that is durable, while something else is measured:
 * nothing that waits for a commit can be quicker.
 */
export class DiskWatch {
  private readonly worker: Worker;

  /** @param dir on the disk of the database */
  constructor(dir: string) {
    const workerData = { path: join(dir, 'disk-watch'), pauseMs: PAUSE_MS };
    this.worker = new Worker(SOURCE, { eval: true, workerData });
  }

  /** ms of each write. */
  async stop(): Promise<number[]> {
    const told = once(this.worker, 'message');
    this.worker.postMessage('stop');
    const [samples] = z.tuple([z.array(z.number())]).parse(await told);
    return samples;
  }
}
