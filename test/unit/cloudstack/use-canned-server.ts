import { afterAll, beforeAll, beforeEach } from 'vitest';
import { CloudError } from '~/server/cloudstack/cloud';
import {
  type CannedAnswer,
  type CannedClient,
  type CannedServer,
  cannedClient,
  configRow,
  startCannedServer,
} from './canned-server';

export const VOLUME = '0f3c9a51-7be2-4d60-9a44-c1d2e3f40516';
export const VM = 'aaaaaaaa-1111-4111-8111-aaaaaaaaaaaa';
export const JOB = '11112222-3333-4444-8555-666677778888';

/** A canned CloudStack for all tests of the file, and for each of them a new client of it. */
export function useCannedServer() {
  let server: CannedServer;
  let client: CannedClient;
  beforeAll(async () => {
    server = await startCannedServer();
  });
  afterAll(() => server.stop());
  beforeEach(() => {
    server.requests.length = 0;
    client = cannedClient([configRow({ apiUrl: server.url })]);
  });
  return {
    get server() {
      return server;
    },
    get client() {
      return client;
    },
    /** Answers whatever is asked with this. */
    say: (answer: CannedAnswer) => {
      server.script = () => answer;
    },
    attach: () =>
      client.cloud.submit({ name: 'attachVolume', volumeId: VOLUME, vmId: VM, deviceId: null }, JOB),
  };
}

/** The CloudError that the call ends with. */
export async function refused(call: Promise<unknown>): Promise<CloudError> {
  const error = await call.then(
    (value) => new Error(`it succeeded: ${JSON.stringify(value)}`),
    (reason: unknown) => reason,
  );
  if (error instanceof CloudError) return error;
  throw error;
}
