import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readEvents } from '~/cli/client/event-stream';
import { entryOf } from '~/cli/client/journal';
import { digestOf, tokensText } from '~/server/daemon/access/tokens';
import type { JournalEntryReply, OperationReply } from '~/server/http/schemas/operations';
import { send, Walk } from './walk';

/**
 * Who cancels, and who makes and withdraws an export, can be read again: from the built daemon, over HTTP.
 */
const TRACE = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
const asked = (request_id: string) => ({ actor: 'the-hub', request_id, traceparent: TRACE });
let walk: Walk;
let volumeId: string;

beforeAll(async () => {
  walk = await Walk.begin();
  volumeId = await walk.create('asked-for');
  await walk.attach(volumeId);
  const tokensFile = join(walk.lab.dir, 'tokens.json');
  const createdAt = '2026-01-15T12:00:00.000Z';
  await writeFile(
    tokensFile,
    tokensText([{ name: 'the-hub', role: 'operate', sha256: digestOf('hub'), createdAt }]),
  );
  await walk.daemon.stop();
  await walk.restartDaemon({ env: { TOKENS_FILE: tokensFile } });
});
afterAll(() => walk?.close());

const authorization = 'Bearer hub';
async function ask(method: string, path: string, requestId: string, body?: unknown): Promise<unknown> {
  const headers = { authorization, 'x-request-id': requestId, traceparent: TRACE };
  const init = body === undefined ? {} : { body: JSON.stringify(body) };
  const { status, body: answer } = await send(walk.daemon.url + path, { method, headers, ...init });
  expect(status, JSON.stringify(answer)).toBeLessThan(300);
  return answer;
}
const operation = async (id: string) =>
  (await ask('GET', `/api/v1/operations/${id}?wait=20s`, 'reader')) as OperationReply;

/** Reads an event stream until it has an entry that is looked for. */
async function entry(
  path: string,
  wanted: (entry: JournalEntryReply) => boolean,
): Promise<JournalEntryReply> {
  const answer = await fetch(walk.daemon.url + path, {
    headers: { authorization, 'last-event-id': '0' },
    signal: AbortSignal.timeout(20_000),
  });
  if (!answer.body) throw new Error('no stream');
  for await (const event of readEvents(answer.body)) {
    const found = entryOf(event);
    if (found !== null && wanted(found)) return found;
  }
  throw new Error('the stream has ended without it');
}

it('cancels what runs: the journal of the run, the operation and the list say who', async () => {
  const { model } = walk.lab.cloud;
  model.restart({ downFor: 3_600_000 });
  const path = `/api/v1/volumes/${volumeId}/detach`;
  const running = (await ask('POST', path, 'accepted')) as OperationReply;
  const waiting = (await ask('POST', `/api/v1/volumes/${volumeId}/resize`, 'queued', {
    size: 5 * 1024 ** 3,
  })) as OperationReply;
  await expect
    .poll(async () => (await ask('GET', `/api/v1/operations/${running.id}`, 'reader')) as OperationReply)
    .toMatchObject({ status: 'executing' });
  await ask('POST', `/api/v1/operations/${waiting.id}/cancel`, 'cancel-2');
  await ask('POST', `/api/v1/operations/${running.id}/cancel`, 'cancel-1');
  model.restart();
  for (const [{ id }, requestId] of [
    [running, 'cancel-1'],
    [waiting, 'cancel-2'],
  ] as const) {
    expect(await operation(id)).toMatchObject({
      status: 'cancelled',
      cancel_requested_by: asked(requestId),
    });
    const found = await entry(`/api/v1/operations/${id}/events`, ({ data }) => data.request_id === requestId);
    expect(found).toMatchObject({ step: 'operation', data: asked(requestId) });
  }
  expect(await ask('GET', `/api/v1/operations?volume_id=${volumeId}&limit=2`, 'reader')).toEqual(
    expect.arrayContaining([
      expect.objectContaining({
        id: running.id,
        ...asked('accepted'),
        cancel_requested_by: asked('cancel-1'),
      }),
    ]),
  );
});

it('makes and withdraws an export: the feed keeps who, and an export that is there has it in its record', async () => {
  const path = `/api/v1/exports/${volumeId}`;
  const made = await ask('POST', '/api/v1/exports', 'publish-1', { volume_id: volumeId });
  expect(made).toMatchObject({ metadata: asked('publish-1') });
  expect(await ask('GET', path, 'reader')).toMatchObject({ metadata: asked('publish-1') });
  await ask('DELETE', path, 'withdraw-1');
  for (const [step, requestId] of [
    ['export:publish', 'publish-1'],
    ['export:withdraw', 'withdraw-1'],
  ] as const) {
    const found = await entry('/api/v1/events', (one) => one.step === step);
    expect(found).toMatchObject({ operation_id: '', data: { volume_id: volumeId, ...asked(requestId) } });
  }
});
