import type { IncomingMessage } from 'node:http';
import { expect, it } from 'vitest';
import { toOriginForm } from '~/server/http/request/origin-form';

it.each([
  ['http://127.0.0.1:8090/api/v1/health?x=1', '/api/v1/health?x=1', '127.0.0.1:8090'],
  ['HTTP://appliance', '/', 'appliance'],
  ['http://appliance?limit=1', '/?limit=1', 'appliance'],
  // The header would be an allowed name; what was asked is not.
  ['http://evil.example/health', '/health', 'evil.example'],
  ['http://localhost@evil.example/health', '/health', 'localhost@evil.example'],
  ['/health?url=http://other/', '/health?url=http://other/', 'localhost'],
  ['http:///health', 'http:///health', 'localhost'],
  ['*', '*', 'localhost'],
])('%s asks for %s of %s', (url, path, host) => {
  const request = { url, headers: { host: 'localhost' } } as IncomingMessage;
  toOriginForm(request);
  expect([request.url, request.headers.host]).toEqual([path, host]);
});
