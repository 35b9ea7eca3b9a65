import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { z } from 'zod';

const ANSWER = z.union([z.object({ samples: z.array(z.number()) }), z.object({ error: z.string() })]);

interface PostRequest {
  readonly url: string;
  readonly body: object;
}

/** Sends one request after the other over one kept connection, and times each until its answer is read. */
const SOURCE = `
const { Agent, request } = require('node:http');
const { parentPort } = require('node:worker_threads');
const agent = new Agent({ keepAlive: true });
const post = (url, body) => new Promise((resolve, reject) => {
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  request(url, { agent, method: 'POST', headers }, (answer) => {
    const parts = [];
    answer.on('data', (part) => parts.push(part)).on('error', reject).on('end', () => {
      if (answer.statusCode < 300) resolve();
      else reject(new Error('POST ' + url + ': HTTP ' + answer.statusCode + ': ' + Buffer.concat(parts)));
    });
  }).on('error', reject).end(body);
});
parentPort.on('message', async ({ requests, pauseMs }) => {
  const samples = [];
  try {
    for (const { url, body } of requests) {
      if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
      const begun = performance.now();
      await post(url, JSON.stringify(body));
      samples.push(performance.now() - begun);
    }
    parentPort.postMessage({ samples });
  } catch (error) {
    parentPort.postMessage({ error: String(error) });
  }
});`;

/**
 * A caller with an event loop of its own, as callers have: the loop of the benchmark also runs the simulated
 * CloudStack, and an answer that waits there is not late.
 */
export class Caller {
  private readonly worker = new Worker(SOURCE, { eval: true });

  /** ms of each request. Throws when one is not answered with success. */
  async post(requests: readonly PostRequest[], pauseMs = 0): Promise<number[]> {
    // Rejects when the worker has an error instead.
    const answered = once(this.worker, 'message');
    this.worker.postMessage({ requests, pauseMs });
    const [answer] = z.tuple([ANSWER]).parse(await answered);
    if ('error' in answer) throw new Error(answer.error);
    return answer.samples;
  }

  async stop(): Promise<void> {
    await this.worker.terminate();
  }
}
