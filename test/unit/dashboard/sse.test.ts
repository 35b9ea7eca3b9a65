import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type Message, messagesIn } from '~/dashboard/src/sse';

async function* pieces(parts: readonly string[]): AsyncGenerator<string> {
  yield* parts;
}

async function read(parts: readonly string[]): Promise<Message[]> {
  const all: Message[] = [];
  for await (const message of messagesIn(pieces(parts))) all.push(message);
  return all;
}

const STREAM =
  'retry: 1000\n\nid: 7\nevent: operation\ndata: {"a":"x: y\\n"}\n\n: heartbeat\n\nevent: device\ndata: {}\n\nid: 8\ndata: one\ndata: two\n\nid: 9\ndata: cut of';

const EXPECTED: Message[] = [
  { id: '7', event: 'operation', data: '{"a":"x: y\\n"}' },
  { id: null, event: 'device', data: '{}' },
  { id: '8', event: 'message', data: 'one\ntwo' },
];

it('reads events, passes over heartbeats and settings, and takes nothing for an event that was cut off', async () => {
  expect(await read([STREAM])).toEqual(EXPECTED);
});

it('property: wherever the network cuts the stream, the events are the same', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(STREAM.length), { maxLength: 12 }), async (cuts) => {
      const at = [0, ...cuts.sort((a, b) => a - b), STREAM.length];
      const parts = at.slice(1).map((end, index) => STREAM.slice(at[index], end));
      expect(await read(parts)).toEqual(EXPECTED);
    }),
    { numRuns: 200 },
  );
});
