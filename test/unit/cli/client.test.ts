import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { Client } from '~/cli/client/client';
import { ConnectionError } from '~/cli/client/errors';
import { STREAM_SILENCE_MS } from '~/cli/client/watchdog';
import { LIMITS } from '~/server/core/limits';

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

async function clientOf(listener: RequestListener): Promise<Client> {
  const listening = createServer(listener).listen(0, '127.0.0.1');
  server = listening;
  await new Promise((resolve) => listening.once('listening', resolve));
  const { port } = listening.address() as AddressInfo;
  return new Client({ url: new URL(`http://127.0.0.1:${port}`), socket: null, tokenFile: null });
}

it('an event stream on which not even heartbeats arrive is given up: its machine may be gone without a word', async () => {
  const client = await clientOf((_, response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'X-Request-Id': '1' });
    response.write('event: device\ndata: {}\n\n');
  });
  const seen: (string | undefined)[] = [];
  const follow = async () => {
    for await (const { event } of client.events('streamEvents', {}, { silenceMs: 50 })) seen.push(event);
  };
  await expect(follow()).rejects.toThrow(ConnectionError);
  expect(seen).toEqual(['device']);
});

it('a success of another program is none: not even that anything was accepted', async () => {
  // As the Go daemon answers, and whatever else speaks JSON on that port.
  for (const body of ['{"status":"healthy","details":{}}', 'null', '[]']) {
    const client = await clientOf((_, response) => response.end(body));
    const asked = client.call('detachVolume', { path: { id: 'x' } });
    await expect(asked).rejects.toThrow('answers HTTP 200, and not as a volume daemon');
    await expect(asked).rejects.toMatchObject({ mayHaveArrived: true });
    server?.close();
  }
});

it('that is longer than two heartbeats', () => {
  expect(STREAM_SILENCE_MS).toBeGreaterThan(2 * LIMITS.STREAM_HEARTBEAT_MS);
});
