import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LabAppliance, startAppliance } from '~/lab/appliance';
import type { DaemonProcess } from '~/lab/daemon';
import { endpoints } from '~/server/http/endpoints/registry';

/**
 * Canaries: secrets are planted in every place that holds one, the daemon is put under stress at its most
 * talkative, and nothing may sing.
 */
const TOKEN = 'canary-token-8c1f0b7e55aa';
const KEY = Buffer.from('canary-encryption-key-0123456789').toString('base64');
const DATABASE = 'migratekit_oma';
const ENTRY = fileURLToPath(new URL('../../../.output/server/index.mjs', import.meta.url));

let lab: LabAppliance;
let daemon: DaemonProcess;
let folder: string;
const heard: string[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'canary-'));
  await writeFile(join(folder, 'token'), `${TOKEN}\n`);
  lab = await startAppliance({
    env: {
      NBD_BACKEND: 'none',
      LOG_LEVEL: 'debug',
      TOKEN_FILE: join(folder, 'token'),
      MIGRATEKIT_CRED_ENCRYPTION_KEY: KEY,
    },
  });
  daemon = await lab.startDaemon();
});
afterAll(async () => {
  await lab?.close();
  if (folder) await rm(folder, { recursive: true, force: true });
});

/** Every form in which a secret could leave. */
function forms(secret: string): string[] {
  const bytes = Buffer.from(secret);
  return [
    secret,
    encodeURIComponent(secret),
    bytes.toString('base64').replace(/=+$/, ''),
    bytes.toString('hex'),
  ];
}

function secrets(): Record<string, string> {
  const { password } = new URL(
    lab.database.dsn.replace(/^([^:]+):([^@]*)@tcp\(([^)]+)\)/, 'mysql://$1:$2@$3'),
  );
  return {
    'the password of the database': password,
    'the API key': lab.cloud.apiKey,
    'the secret key': lab.cloud.secretKey,
    'the token': TOKEN,
    'the encryption key': KEY,
  };
}

function expectSilence(where: string, text: string): void {
  for (const [what, secret] of Object.entries(secrets())) {
    expect(secret.length, what).toBeGreaterThan(7);
    for (const form of forms(secret)) expect(text.includes(form), `${what} in ${where}`).toBe(false);
  }
}

async function ask(
  method: string,
  path: string,
  body?: unknown,
): Promise<{ status: number; json: { id?: string } }> {
  const answer = await fetch(daemon.url + path, {
    method,
    headers: { authorization: `Bearer ${TOKEN}` },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  heard.push(JSON.stringify([...answer.headers]), text);
  try {
    return { status: answer.status, json: JSON.parse(text) };
  } catch {
    return { status: answer.status, json: {} };
  }
}

/** ossea_configs is where the keys belong. */
async function everyTableButTheConfiguration(): Promise<string> {
  const tables = (await lab.database.query(
    `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = ? AND table_name <> 'ossea_configs'`,
    [DATABASE],
  )) as { name: string }[];
  expect(tables.map(({ name }) => name)).toContain('volume_operations');
  const rows = await Promise.all(
    tables.map(({ name }) => lab.database.query(`SELECT * FROM ${DATABASE}.${name}`)),
  );
  return JSON.stringify(rows);
}

describe('no secret leaves the daemon', () => {
  it('while all goes well, while CloudStack refuses the keys, and while the database is away', async () => {
    const { diskOfferingId, zoneId, applianceVmId } = lab.cloud;
    const body = { name: 'canary', size: 1024 ** 3, disk_offering_id: diskOfferingId, zone_id: zoneId };
    const created = await ask('POST', '/api/v1/volumes?wait=25s', body);
    const volume = (created.json as { volume_id?: string }).volume_id ?? '';
    expect(volume).not.toBe('');
    await ask('POST', `/api/v1/volumes/${volume}/attach?wait=25s`, { vm_id: applianceVmId });
    await lab.database.query(`UPDATE ${DATABASE}.ossea_configs SET secret_key = ?`, [
      `${lab.cloud.secretKey}x`,
    ]);
    await daemon.stop();
    heard.push(daemon.log());
    daemon = await lab.startDaemon({ until: 'listening' });
    const refused = await ask('POST', `/api/v1/volumes/${volume}/detach?wait=10s`);
    expect(refused.status).toBeLessThan(600);
    await ask('GET', `/api/v1/volumes/${volume}`);
    await ask('GET', `/api/v1/operations/${created.json.id}/events`);
    for (const { method, path, reply } of endpoints()) {
      if (method !== 'GET' || reply.contentType === 'text/event-stream') continue;
      await ask(method, path.replace(/\{(id|volume_id)\}/, volume).replace('{path}', 'vdb'));
    }
    heard.push(await everyTableButTheConfiguration());
    await lab.database.kill();
    await ask('GET', '/api/v1/devices');
    await ask('POST', '/api/v1/volumes', body);
    await ask('GET', '/api/v1/health');
    heard.push(daemon.log());
    expect(heard.join('').length, 'there was something to hear').toBeGreaterThan(20_000);
    expect(heard.join('\n')).toContain('CLOUDSTACK_AUTH');
    expectSilence('what was said, stored or logged', heard.join('\n'));
  });

  it('nor in --check-config, nor in the messages about a wrong configuration', async () => {
    const env = { ...lab.env, PATH: process.env.PATH ?? '' };
    const run = (more: Record<string, string>) =>
      promisify(execFile)(process.execPath, [ENTRY, '--check-config'], { env: { ...env, ...more } }).then(
        ({ stdout, stderr }) => stdout + stderr,
        (error: { stdout: string; stderr: string }) => error.stdout + error.stderr,
      );
    const right = await run({});
    expect(right).toContain('"encryptionKey": "***"');
    expectSilence('--check-config', right);
    const wrong = await run({
      PORT: 'x',
      DATABASE_DSN: `${lab.env.DATABASE_DSN}&loc=Nowhere/Land`,
      MIGRATEKIT_CRED_ENCRYPTION_KEY: `${KEY}!`,
    });
    expect(wrong).toContain('PORT');
    expectSilence('the words about a wrong configuration', wrong);
  });
});
