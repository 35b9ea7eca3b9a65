import type { EventSourceMessage } from 'eventsource-parser';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { readEvents } from '~/cli/client/event-stream';

/** The parser of every client: volumectl, the dashboard, the benchmarks and the tests. */
async function read(parts: readonly Uint8Array[]): Promise<EventSourceMessage[]> {
  const all: EventSourceMessage[] = [];
  for await (const event of readEvents(parts)) all.push(event);
  return all;
}

const STREAM = Buffer.from(
  'retry: 1000\n\nid: 7\nevent: operation\ndata: {"a":"x: ü\\n"}\n\n: heartbeat\n\nevent: device\r\ndata: x\r\ndata: y\r\n\r\nid: 8\ndata: one\ndata: two\n\nid: 9\ndata: cut of',
);

const EXPECTED: EventSourceMessage[] = [
  { id: '7', event: 'operation', data: '{"a":"x: ü\\n"}' },
  { id: undefined, event: 'device', data: 'x\ny' },
  { id: '8', event: undefined, data: 'one\ntwo' },
];

it('reads events, skips heartbeats and settings, and takes nothing for an event that was cut off', async () => {
  expect(await read([STREAM])).toEqual(EXPECTED);
});

it('property: wherever the network cuts the stream, also within a character, the events are the same', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(STREAM.length), { maxLength: 12 }), async (cuts) => {
      const at = [0, ...cuts.sort((a, b) => a - b), STREAM.length];
      const parts = at.slice(1).map((end, index) => STREAM.subarray(at[index], end));
      expect(await read(parts)).toEqual(EXPECTED);
    }),
    { numRuns: 200 },
  );
});

it('a line without end is refused', async () => {
  await expect(read([Buffer.alloc(2 * 1024 * 1024, 'x')])).rejects.toThrow('max buffer size');
});
