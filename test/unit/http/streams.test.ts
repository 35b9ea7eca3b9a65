import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { createParser } from 'eventsource-parser';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { LIMITS } from '~/server/core/limits';
import { OPEN } from '~/server/daemon/access/access';
import { setGuardSettings } from '~/server/http/request/guard-settings';
import { trafficEventSchema } from '~/server/http/schemas/traffic';
import { openStreams } from '~/server/http/streams/event-stream';
import { deviceEvent, NOBODY, VOLUME } from '~/test/support/canned';
import { useHttpApp } from '~/test/support/use-http-app';
import { withLimits } from '~/test/support/with-limits';

// Hooks run in reverse order: this one after the app has been closed.
afterEach(async () => {
  await expect
    .poll(() => [
      openStreams(),
      app.daemon.listening,
      app.daemon.listeningToDevices,
      app.daemon.listeningToTraffic,
    ])
    .toEqual([0, 0, 0, 0]);
});
const app = useHttpApp();

interface Event {
  readonly id: string | undefined;
  readonly event: string | undefined;
  readonly data: unknown;
}

/** Reads the events of a response, as EventSource does. */
class Reader {
  readonly events: Event[] = [];
  beats = 0;
  private ended = false;
  private constructor(private readonly response: IncomingMessage) {
    const parser = createParser({
      onEvent: ({ id, event, data }) => this.events.push({ id, event, data: JSON.parse(data) }),
      onComment: (comment) => {
        if (comment === 'heartbeat') this.beats += 1;
      },
    });
    response.setEncoding('utf8').on('data', (chunk: string) => parser.feed(chunk));
    response.on('close', () => {
      this.ended = true;
    });
    response.on('error', () => {});
  }

  static async open(path: string, headers: Record<string, string> = {}): Promise<Reader> {
    const response = await app.open('GET', path, { headers });
    expect(response.headers['content-type']).toBe('text/event-stream');
    return new Reader(response);
  }

  async until(count: number): Promise<Event[]> {
    await expect.poll(() => this.events.length).toBeGreaterThanOrEqual(count);
    return this.events;
  }

  end(): Promise<void> {
    return expect.poll(() => this.ended).toBe(true);
  }

  leave(): void {
    this.response.destroy();
  }
}

const accept = () => app.daemon.operations.request('detach', { volume_id: VOLUME });

describe('GET /events', () => {
  it('sends what happens from now on, with journal ids', async () => {
    await accept();
    const reader = await Reader.open('/api/v1/events');
    await expect.poll(() => app.daemon.listening).toBe(1);
    const { id } = await accept();
    const [first, ...rest] = await reader.until(1);
    expect(rest).toEqual([]);
    expect(first).toMatchObject({
      id: '2',
      event: 'operation',
      data: { operation_id: id, step: 'operation', state: 'pending' },
    });
    reader.leave();
  });

  it('replays after Last-Event-ID without gaps or duplicates, and continues', async () => {
    for (let count = 0; count < 5; count += 1) await accept();
    const reader = await Reader.open('/api/v1/events', { 'last-event-id': '2' });
    await reader.until(3);
    await accept();
    expect((await reader.until(4)).map(({ id }) => id)).toEqual(['3', '4', '5', '6']);
    reader.leave();
  });

  it('also sends what greater ids have overtaken: the reader may have left before it came', async () => {
    for (let count = 0; count < 4; count += 1) await accept();
    app.daemon.late.push(2);
    const reader = await Reader.open('/api/v1/events', { 'last-event-id': '3' });
    expect((await reader.until(2)).map(({ id }) => id)).toEqual(['2', '4']);
    reader.leave();
  });

  it('replays more than a page, from the start when asked by query', async () => {
    const { id } = await accept();
    for (let count = 1; count < LIMITS.STREAM_REPLAY_PAGE + 50; count += 1)
      app.daemon.journal(id, 'note', 'note');
    const reader = await Reader.open('/api/v1/events?last_event_id=0');
    const events = await reader.until(LIMITS.STREAM_REPLAY_PAGE + 50);
    expect(events.map((event) => Number(event.id))).toEqual(events.map((_, index) => index + 1));
    reader.leave();
  });

  it('replays pages that are larger than the buffer of a stream', async () => {
    const { id } = await accept();
    const count = LIMITS.STREAM_REPLAY_PAGE + 50;
    for (let note = 1; note < count; note += 1)
      app.daemon.journal(id, 'note', 'note', { text: 'x'.repeat(1_000) });
    const reader = await Reader.open('/api/v1/events?last_event_id=0');
    const events = await reader.until(count);
    expect(events.map((event) => Number(event.id))).toEqual(events.map((_, index) => index + 1));
    reader.leave();
  });

  it('disconnects a client that does not read its replay once too much has happened since', async () => {
    const { id } = await accept();
    const big = { text: 'x'.repeat(64 * 1024) };
    for (let note = 0; note < LIMITS.STREAM_REPLAY_PAGE; note += 1)
      app.daemon.journal(id, 'note', 'note', big);
    const response = await app.open('GET', '/api/v1/events?last_event_id=0');
    response.pause();
    await expect.poll(() => app.daemon.listening).toBe(1);
    for (let note = 0; note <= LIMITS.STREAM_QUEUE; note += 1) app.daemon.journal(id, 'note', 'note');
    await expect.poll(() => openStreams()).toBe(0);
    response.destroy();
  });

  it('sends device events, and what the appliance itself did', async () => {
    const reader = await Reader.open('/api/v1/events');
    await expect.poll(() => app.daemon.listening).toBe(1);
    app.daemon.device(deviceEvent(1));
    app.daemon.journal('', 'sync:letter-moved', 'note');
    const events = await reader.until(2);
    expect(events.map(({ event }) => event).sort()).toEqual(['appliance', 'device']);
    expect(events.find(({ event }) => event === 'device')).toMatchObject({
      id: undefined,
      data: { device_path: '/dev/vdb', type: 'added' },
    });
    reader.leave();
  });

  it('sends device events immediately, not at the next tick', async () => {
    await withLimits({ STREAM_TICK_MS: 3_600_000 }, async () => {
      const reader = await Reader.open('/api/v1/events');
      await expect.poll(() => app.daemon.listeningToDevices).toBe(1);
      app.daemon.device(deviceEvent(1));
      expect(await reader.until(1)).toMatchObject([{ event: 'device' }]);
      app.daemon.device(deviceEvent(2));
      expect(await reader.until(2)).toHaveLength(2);
      reader.leave();
    });
  });

  it('sends heartbeats while nothing happens, so that both ends notice a dead connection', async () => {
    await withLimits({ STREAM_HEARTBEAT_MS: 20 }, async () => {
      const reader = await Reader.open('/api/v1/events');
      await expect.poll(() => reader.beats).toBeGreaterThan(2);
      reader.leave();
    });
  });

  it('ends when the daemon stops, and none begins after that', async () => {
    const reader = await Reader.open('/api/v1/events');
    app.daemon.stop();
    await reader.end();
    expect((await app.get('/api/v1/events')).json).toMatchObject({ code: 'STOPPING' });
  });

  it('disconnects a client that does not read', async () => {
    const response = await app.open('GET', '/api/v1/events');
    response.pause();
    const { id } = await accept();
    const big = { text: 'x'.repeat(64 * 1024) };
    // Kernel buffers take a few megabytes before Node notices that nobody reads.
    for (let count = 0; count < 2_000 && openStreams() > 0; count += 1) {
      app.daemon.journal(id, 'note', 'note', big);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(openStreams()).toBe(0);
    response.destroy();
  });

  it.each(['event', 'heartbeat'])(
    'ends at the first %s after its token was revoked, without it',
    async (first) => {
      const tokens = new Set(['sesame', 'other']);
      const identify = (token?: string) =>
        token !== undefined && tokens.has(token) ? ({ name: 'hub', role: 'read' } as const) : null;
      setGuardSettings({ allowedHosts: [], access: { ...OPEN, identify } });
      const heartbeat = first === 'heartbeat' ? 20 : 3_600_000;
      await withLimits({ TOKENS_LOOK_MS: 0, STREAM_HEARTBEAT_MS: heartbeat }, async () => {
        const bearer = { authorization: 'Bearer sesame' };
        const reader = await Reader.open('/api/v1/events', bearer);
        const kept = await Reader.open('/api/v1/events', { authorization: 'Bearer other' });
        await expect.poll(() => app.daemon.listening).toBe(2);
        tokens.delete('sesame');
        if (first === 'event') {
          await accept();
          await kept.until(1);
        }
        await reader.end();
        expect(reader.events).toEqual([]);
        expect((await app.get('/api/v1/events', bearer)).json).toMatchObject({ code: 'UNAUTHORIZED' });
        kept.leave();
      });
    },
  );

  it('refuses one stream too many with 429', async () => {
    const readers = await Promise.all(
      Array.from({ length: LIMITS.STREAMS }, () => app.open('GET', '/api/v1/events')),
    );
    const answer = await app.get('/api/v1/events');
    expect([answer.status, answer.json]).toMatchObject([429, { code: 'RATE_LIMITED' }]);
    for (const reader of readers) reader.destroy();
  });

  it.each(['x', '-1', '1.5'])('refuses last_event_id=%s', async (id) => {
    expect((await app.get(`/api/v1/events?last_event_id=${id}`)).status).toBe(400);
  });
});

describe('GET /operations/{id}/events', () => {
  it('sends the whole journal of one operation and ends with it', async () => {
    const { id } = await accept();
    const other = await accept();
    app.daemon.journal(id, 'detach-volume', 'intent', { job_id: 'j' });
    const reader = await Reader.open(`/api/v1/operations/${id}/events`);
    await reader.until(2);
    app.daemon.move(other.id, { status: 'completed' });
    app.daemon.move(id, { status: 'executing' });
    app.daemon.move(id, { status: 'completed' });
    await reader.end();
    expect(reader.events.map(({ data }) => data)).toMatchObject([
      { operation_id: id, sequence: 1, state: 'pending' },
      { operation_id: id, sequence: 2, state: 'intent' },
      { operation_id: id, sequence: 3, state: 'executing' },
      { operation_id: id, sequence: 4, state: 'completed' },
    ]);
  });

  it('takes no place when its client has left while the operation was read', async () => {
    const { id } = await accept();
    const { operations } = app.daemon;
    const responses: ServerResponse[] = [];
    const note = (message: unknown) => responses.push((message as { response: ServerResponse }).response);
    subscribe('http.server.request.start', note);
    const client = connect(app.port, '127.0.0.1');
    const original = operations.read.bind(operations);
    const read = vi.spyOn(operations, 'read').mockImplementationOnce(async (wanted) => {
      client.destroy();
      await Promise.all(responses.map((response) => once(response, 'close')));
      return original(wanted);
    });
    try {
      client.write(`GET /api/v1/operations/${id}/events HTTP/1.1\r\nHost: localhost\r\n\r\n`);
      await expect.poll(() => read).toHaveResolved();
      await new Promise((resolve) => setImmediate(resolve));
      expect([responses.length, openStreams()]).toEqual([1, 0]);
    } finally {
      unsubscribe('http.server.request.start', note);
      // Of a stream that were open still, so that it fails alone.
      app.daemon.move(id, { status: 'completed' });
    }
  });

  it('sends a journal that is larger than the buffer of a stream', async () => {
    const { id } = await accept();
    for (let note = 1; note < 550; note += 1)
      app.daemon.journal(id, 'note', 'note', { text: 'x'.repeat(1_000) });
    app.daemon.move(id, { status: 'cancelled' });
    const reader = await Reader.open(`/api/v1/operations/${id}/events`);
    await reader.end();
    expect(reader.events).toHaveLength(551);
  });

  it('of an ended operation ends at once, and skips what the client has seen', async () => {
    const { id } = await accept();
    app.daemon.move(id, { status: 'cancelled' });
    const reader = await Reader.open(`/api/v1/operations/${id}/events`, { 'last-event-id': '1' });
    await reader.end();
    expect(reader.events.map((event) => event.id)).toEqual(['2']);
  });

  it('of an unknown operation is a 404', async () => {
    expect((await app.get(`/api/v1/operations/${NOBODY}/events`)).json).toMatchObject({
      code: 'OPERATION_NOT_FOUND',
    });
  });
});

describe('traffic in GET /events', () => {
  it('is sent while bytes flow, without an id, so that it is never replayed', async () => {
    const reader = await Reader.open('/api/v1/events');
    await expect.poll(() => app.daemon.listeningToTraffic).toBe(1);
    app.daemon.flow(VOLUME);
    const [event] = await reader.until(1);
    expect(event).toMatchObject({
      id: undefined,
      event: 'traffic',
      data: { volume_id: VOLUME, traffic: { clients: 2, share_written: 0.25, unknown: [] } },
    });
    expect(() => trafficEventSchema.parse(event?.data)).not.toThrow();
    reader.leave();
  });
});
