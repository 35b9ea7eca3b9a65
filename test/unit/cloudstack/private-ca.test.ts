import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { makePrivateCa, type PrivateCa } from '~/lab/certificates';
import { CloudError } from '~/server/cloudstack/cloud';
import { LIMITS } from '~/server/core/limits';
import { withLimits } from '~/test/support/with-limits';
import { cannedClient, configRow } from './canned-server';

const dir = mkdtempSync(join(tmpdir(), 'cloud-tls-'));
let ca: PrivateCa;
let server: Server;
let url = '';
const seen: {
  requests: string[];
  connections: number;
  answer: 'capabilities' | 'nothing' | 'redirect' | 'much';
} = {
  requests: [],
  connections: 0,
  answer: 'capabilities',
};

beforeAll(async () => {
  ca = makePrivateCa(dir);
  const { keyFile, certFile } = ca.sign('cloud.example');
  server = createServer({ key: readFileSync(keyFile), cert: readFileSync(certFile) }, (request, response) => {
    void text(request).then((body) => {
      seen.requests.push(body);
      if (seen.answer === 'nothing') return;
      if (seen.answer === 'redirect') response.writeHead(302, { location: `${url}/elsewhere` }).end();
      else if (seen.answer === 'much') response.end(Buffer.alloc(LIMITS.CLOUDSTACK_ANSWER_BYTES + 1, 'x'));
      else
        response.end(
          JSON.stringify({ listcapabilitiesresponse: { capability: { cloudstackversion: '4.20.0.0' } } }),
        );
    });
  });
  server.on('secureConnection', () => {
    seen.connections += 1;
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/client/api`;
});
beforeEach(() => Object.assign(seen, { requests: [], connections: 0, answer: 'capabilities' }));
afterAll(() => {
  server.closeAllConnections();
  server.close();
  rmSync(dir, { recursive: true });
});

const trusting = (pem: string | null) => cannedClient([configRow({ apiUrl: url })], null, { ca: pem }).cloud;

async function refused(call: Promise<unknown>): Promise<CloudError> {
  const error = await call.then(
    () => new Error('it succeeded'),
    (reason: unknown) => reason,
  );
  if (error instanceof CloudError) return error;
  throw error;
}

it('the CA that is named is trusted, and connections are used again', async () => {
  const cloud = trusting(ca.pem);
  expect((await cloud.capabilities()).version).toBe('4.20.0.0');
  expect((await cloud.capabilities()).version).toBe('4.20.0.0');
  expect([seen.requests.length, seen.connections]).toEqual([2, 1]);
  expect(new URLSearchParams(seen.requests[0]).get('command')).toBe('listCapabilities');
});

it('without it nothing is sent, and the error names the setting', async () => {
  const error = await refused(trusting(null).capabilities());
  expect(error.message).toContain('name the CA in CLOUDSTACK_CA_FILE');
  expect([error.outcome, seen.requests]).toEqual(['not-started', []]);
});

it('another CA with the same purpose is not enough', async () => {
  const error = await refused(trusting(makePrivateCa(dir, 'other').pem).capabilities());
  expect(error.message).toContain('CLOUDSTACK_CA_FILE');
  expect([error.outcome, seen.requests]).toEqual(['not-started', []]);
});

it('redirects are not followed, and an answer is bounded, over this connection too', async () => {
  seen.answer = 'redirect';
  expect((await refused(trusting(ca.pem).capabilities())).message).toContain('redirects are not followed');
  seen.answer = 'much';
  expect((await refused(trusting(ca.pem).capabilities())).message).toContain('larger than');
  expect(seen.requests).toHaveLength(2);
});

it('a server that does not answer in time: it may have happened', async () => {
  seen.answer = 'nothing';
  await withLimits({ CLOUDSTACK_TIMEOUT_MS: 1_000 }, async () => {
    const error = await refused(trusting(ca.pem).capabilities());
    expect([error.outcome, error.message]).toEqual([
      'unknown',
      'CloudStack did not answer listCapabilities: timeout',
    ]);
  });
});
