import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Simulator, startSimulator } from '~/lab/cloudstack/http';
import { type Mariadb, startMariadb } from '~/lab/mariadb';
import { loadConfiguration } from '~/server/daemon/configuration/configuration';
import { setUp } from '~/server/daemon/setup/setup';
import type { SetupRequest } from '~/server/daemon/setup/setup-request';
import { parseDsn } from '~/server/database/connection/dsn';
import { tryLogin } from '~/server/database/provision';

/** `volumectl setup` without its questions, on a real MariaDB and the CloudStack simulator. */
const dir = mkdtempSync(join(tmpdir(), 'volume-setup-'));
const file = join(dir, 'volume-daemon.default');
let database: Mariadb;
let cloud: Simulator;
let admin: string;
beforeAll(async () => {
  database = await startMariadb();
  cloud = await startSimulator();
  admin = `root@unix(${database.socketPath})/mysql`;
});
afterAll(async () => {
  await cloud.stop();
  await database.stop();
  rmSync(dir, { recursive: true, force: true });
});

const packaged = (name: string) =>
  `${name}:oma_password@unix(${database.socketPath})/${name}_db?parseTime=true`;

function request(change: Partial<SetupRequest> = {}): SetupRequest {
  return {
    admin,
    environment_file: file,
    dry_run: false,
    cloudstack: { url: cloud.url, api_key: cloud.apiKey, secret_key: cloud.secretKey },
    zone: null,
    vm_id: cloud.applianceVmId,
    replace: false,
    ...change,
  };
}

/** As the next start would read it. */
const dsnInFile = () => /^DATABASE_DSN=(.*)$/m.exec(readFileSync(file, 'utf8'))?.[1] ?? '';

async function setup(dsn: string, change: Partial<SetupRequest> = {}) {
  const report = await setUp(
    loadConfiguration({ DATABASE_DSN: dsn, NBD_BACKEND: 'none' }),
    dsn,
    request(change),
  );
  const states = Object.fromEntries(report.steps.map(({ name, state }) => [name, state]));
  return { ...report, states, said: JSON.stringify(report) };
}

const configRows = (name: string) =>
  database.query('SELECT api_url, api_key, secret_key, zone, is_active FROM ossea_configs', [], `${name}_db`);

describe('an empty machine', () => {
  it('gets database, account with a password of its own, tables and row; again, nothing changes', async () => {
    writeFileSync(file, `# mine\nDATABASE_DSN=${packaged('fresh')}\nLOG_LEVEL=debug\n`, { mode: 0o600 });
    const first = await setup(packaged('fresh'));
    expect(first.states).toEqual({
      database: 'made',
      tables: 'made',
      cloudstack: 'ok',
      appliance: 'ok',
      ossea_configs: 'made',
      exports: 'ok',
    });
    const dsn = dsnInFile();
    expect(dsn).toMatch(/^fresh:[\w-]{32}@unix/);
    expect(readFileSync(file, 'utf8')).toBe(`# mine\nDATABASE_DSN=${dsn}\nLOG_LEVEL=debug\n`);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(first.said).not.toContain(cloud.secretKey);
    expect(first.said).not.toContain(dsn.slice(6, 30));
    const again = await setup(dsn);
    expect([...new Set(again.steps.map(({ state }) => state))]).toEqual(['ok']);
    expect(dsnInFile()).toBe(dsn);
    expect(await configRows('fresh')).toEqual([
      expect.objectContaining({ api_url: cloud.url, zone: cloud.zoneId, is_active: 1 }),
    ]);
  });

  it('the account has no right to other databases, also not to such with a similar name', async () => {
    await database.query('CREATE DATABASE IF NOT EXISTS freshXdb');
    const similar = dsnInFile().replace('/fresh_db', '/freshXdb');
    expect([await tryLogin(parseDsn(dsnInFile())), await tryLogin(parseDsn(similar))]).toEqual([
      'works',
      'refused',
    ]);
  });

  it('a dry run says what would be made, and makes nothing', async () => {
    const { states } = await setup(packaged('dry'), { dry_run: true });
    expect(states).toMatchObject({ database: 'planned', cloudstack: 'ok', ossea_configs: 'planned' });
    expect(await database.query("SELECT 1 FROM mysql.user WHERE User = 'dry'")).toEqual([]);
    expect(JSON.stringify(await database.query('SHOW DATABASES'))).not.toContain('dry_db');
  });

  it('a crash after the file was written: the next run makes the account with what is in the file', async () => {
    const { states } = await setup(`crashed:from-the-file@unix(${database.socketPath})/crashed_db`);
    expect(states.database).toBe('made');
  });
});

describe('what is there', () => {
  it('an account with another password keeps it, and what to do is said', async () => {
    await database.query("CREATE USER 'theirs'@'localhost' IDENTIFIED BY 'secret-of-others'");
    const report = await setup(packaged('theirs'));
    expect(report.states.database).toBe('missing');
    expect(report.said).toContain('the account theirs is there');
    const { states } = await setup(`theirs:secret-of-others@unix(${database.socketPath})/theirs_db`);
    expect(states.database).toBe('missing');
  });

  it('a row with other values stays, until it is to be replaced', async () => {
    const dsn = dsnInFile();
    const vm = cloud.model.addVm({ name: 'other', state: 'Running' }).id;
    const kept = await setup(dsn, { vm_id: vm });
    expect(kept.states.ossea_configs).toBe('missing');
    expect(kept.said).toContain('--replace');
    const replaced = await setup(dsn, { vm_id: vm, replace: true });
    expect(replaced.states.ossea_configs).toBe('made');
    expect(await configRows('fresh')).toHaveLength(1);
    expect((await setup(dsn, { cloudstack: null })).steps.filter(({ state }) => state !== 'ok')).toEqual([]);
  });

  it('a row that names its zone by name has no other values', async () => {
    const dsn = dsnInFile();
    const name = cloud.model.zones[0]?.name ?? '';
    await database.query('UPDATE ossea_configs SET zone = ?', [name], 'fresh_db');
    const { states } = await setup(dsn, { vm_id: null });
    expect(states.ossea_configs).toBe('ok');
    await database.query('UPDATE ossea_configs SET zone = ?', [cloud.zoneId], 'fresh_db');
  });

  it('a row of ours that somebody has switched off is taken up again', async () => {
    const dsn = dsnInFile();
    await database.query('UPDATE ossea_configs SET is_active = 0, api_key = ?', ['old'], 'fresh_db');
    const { states } = await setup(dsn);
    expect(states.ossea_configs).toBe('made');
    expect(await configRows('fresh')).toEqual([
      expect.objectContaining({ api_key: cloud.apiKey, is_active: 1 }),
    ]);
    expect((await setup(dsn)).states.ossea_configs).toBe('ok');
  });

  it('a database of the old daemon is not adopted by it', async () => {
    await database.query('CREATE DATABASE old_db');
    await database.query('CREATE TABLE volume_operations (id VARCHAR(64) PRIMARY KEY)', [], 'old_db');
    await database.query("CREATE USER 'old'@'localhost' IDENTIFIED BY 'x'");
    await database.query("GRANT ALL ON old_db.* TO 'old'@'localhost'");
    const report = await setup(`old:x@unix(${database.socketPath})/old_db`, { cloudstack: null });
    expect(report.states).toMatchObject({ database: 'ok', tables: 'missing' });
    expect(report.said).toContain('adopt --plan');
    expect(JSON.stringify(await database.query('SHOW TABLES', [], 'old_db'))).not.toContain('migrations');
  });
});

describe('what is wrong', () => {
  it('keys that CloudStack refuses are not written, and nothing is asked for a second time', async () => {
    const dsn = `bad:x-y-z@unix(${database.socketPath})/bad_db`;
    const report = await setup(dsn, {
      cloudstack: { url: cloud.url, api_key: cloud.apiKey, secret_key: 'wrong' },
    });
    expect(report.states).toMatchObject({ database: 'made', tables: 'made', cloudstack: 'missing' });
    expect(report.needs_cloudstack).toBe(false);
    expect(await configRows('bad')).toEqual([]);
  });

  it('without values for CloudStack it says that they are needed', async () => {
    const report = await setup(`bad:x-y-z@unix(${database.socketPath})/bad_db`, { cloudstack: null });
    expect(report.needs_cloudstack).toBe(true);
    expect(report.states.ossea_configs).toBe('missing');
  });

  it('a zone that is not there is named with those that are', async () => {
    const { said } = await setup(dsnInFile(), { zone: 'nowhere', replace: true });
    expect(said).toContain('there is no zone nowhere');
    expect(said).toContain(cloud.zoneId);
  });

  it('no server and no rights are two different things', async () => {
    const away = await setup(`a:b@unix(${join(dir, 'none.sock')})/x`);
    expect(away.said).toContain('no server answers');
    const weak = await setup(packaged('weak'), { admin: `bad:x-y-z@unix(${database.socketPath})/bad_db` });
    expect(weak.said).toContain('--database-admin');
  });
});
