import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';

/**
 * Linux gives its outgoing connections ports from 32768: one of them could take a port before its server
 * does.
 */
const FIRST = 20_000;
const END = 32_768;
const TRIES = 100;

/** A TCP port on 127.0.0.1 that was free a moment ago, by chance, so that two who ask at once get two. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    const port = randomInt(FIRST, END);
    if (await isFree(port)) return port;
  }
  throw new Error(`none of ${TRIES} TCP ports from ${FIRST} to ${END - 1} was free`);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch {
    return false;
  }
  server.close();
  await once(server, 'close');
  return true;
}
