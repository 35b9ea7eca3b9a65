import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { OperationReply } from '~/lab/client';
import { parseDsn } from '~/server/database/connection/dsn';
import { openPool } from '~/server/database/connection/pool';
import { MysqlLedger } from '~/server/database/mysql-ledger';
import { sleep } from './load/chance';
import { type Ask, Rig } from './rig';

/** ms that CloudStack works on a detach. */
const DETACH = 3_000;
const DATABASE = 'migratekit_oma';

let rig: Rig;

beforeAll(async () => {
  rig = await Rig.begin({ cloud: { latencies: { detach: DETACH } } });
});
afterEach(() => rig.model.faults.clear());
afterAll(() => rig?.close());

interface Waiting extends OperationReply {
  readonly attempt: number;
  readonly next_attempt_at?: string;
  readonly wait_reason?: string;
}

interface Health {
  readonly database_health: string;
  readonly details: {
    readonly phase: string;
    readonly phase_reason: string | null;
    readonly components: { readonly database: { readonly message: string } };
    readonly waiting: readonly { readonly id: string; readonly reason: string; readonly attempt: number }[];
  };
}

async function read<T>(path: string): Promise<T> {
  return JSON.parse(await (await fetch(rig.daemon.url + path)).text());
}

/** Reads again and again until it is as wanted. */
async function until<T>(path: string, isIt: (value: T) => boolean): Promise<T> {
  for (;;) {
    const value = await read<T>(path);
    if (isIt(value)) return value;
    await sleep(25);
  }
}

async function newVolume(name: string): Promise<string> {
  const { zoneId, diskOfferingId } = rig.lab.cloud;
  const body = { name, size: 1024 ** 3, zone_id: zoneId, disk_offering_id: diskOfferingId };
  return (await rig.follow({ method: 'POST', path: '/api/v1/volumes', body })).volume_id;
}

function attachOf(volumeId: string): Ask {
  return { method: 'POST', path: `/api/v1/volumes/${volumeId}/attach`, body: { vm_id: rig.appliance } };
}

async function ended(id: string): Promise<Waiting> {
  return until<Waiting>(
    `/api/v1/operations/${id}`,
    ({ status }) => status !== 'pending' && status !== 'executing',
  );
}

describe('an operation that waits says why', () => {
  it('while CloudStack is away: in the operation, the health and the log, with the attempts; and it goes on when it is back', async () => {
    const volumeId = await newVolume('patient');
    rig.model.faults.add({ command: '*', kind: 'fail-before-effect', times: 1_000_000 });
    const { id } = await rig.accepted(attachOf(volumeId));
    const waiting = await until<Waiting>(`/api/v1/operations/${id}`, ({ attempt }) => attempt >= 2);
    expect(waiting).toMatchObject({
      status: 'executing',
      wait_reason: expect.stringContaining('CloudStack'),
      next_attempt_at: expect.any(String),
    });
    const health = await until<Health>('/api/v1/health', ({ details }) => details.waiting.length > 0);
    expect(health.details.waiting[0]).toMatchObject({ id, reason: waiting.wait_reason });
    expect(rig.daemon.log()).toMatch(new RegExp(`"msg":"Operation is waiting","operation_id":"${id}"`));
    rig.model.faults.clear();
    const end = await ended(id);
    expect(end).toMatchObject({ status: 'completed', attempt: 0 });
    expect(end.wait_reason).toBeUndefined();
    expect(rig.model.effectsOf(volumeId, 'attach')).toBe(1);
  });

  it('while the database is away: in the health and the log; requests are refused for now, and what was accepted ends', async () => {
    const volumeId = await newVolume('without-database');
    const { id } = await rig.accepted(attachOf(volumeId));
    await rig.lab.database.kill();
    const health = await until<Health>(
      '/api/v1/health',
      ({ database_health, details }) =>
        database_health === 'unhealthy' && (details.phase_reason ?? '').includes('database is away'),
    );
    expect((await fetch(`${rig.daemon.url}/readyz`)).status).toBe(503);
    expect(health.details).toMatchObject({
      components: { database: { message: expect.stringContaining('database is away') } },
    });
    const refused = await fetch(`${rig.daemon.url}/api/v1/volumes/${volumeId}/detach`, { method: 'POST' });
    expect(refused.status).toBe(503);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await fetch(`${rig.daemon.url}/api/v1/operations/${id}`)).status).toBe(503);
    await rig.lab.database.restart();
    const begun = performance.now();
    await until<Health>(
      '/api/v1/health',
      ({ database_health, details }) => database_health === 'healthy' && details.phase === 'ready',
    );
    console.log(`database back → ready: ${Math.round(performance.now() - begun)} ms (goal ≤ 10000 ms)`);
    expect(await ended(id)).toMatchObject({ status: 'completed' });
    expect(rig.model.effectsOf(volumeId, 'attach')).toBe(1);
  });

  it('a detach job that outlived its operation is waited for before the volume is attached again', async () => {
    const volumeId = await newVolume('straggler');
    expect((await rig.follow(attachOf(volumeId))).status).toBe('completed');
    await rig.daemon.stop();
    const jobId = crypto.randomUUID();
    await leaveStraggler(volumeId, jobId);
    await rig.restart();
    rig.model.detachVolume({ id: volumeId, jobId });
    const { id } = await rig.accepted(attachOf(volumeId));
    const waiting = await until<Waiting>(
      `/api/v1/operations/${id}`,
      ({ wait_reason, status }) => wait_reason !== undefined || status === 'completed',
    );
    expect(waiting.wait_reason).toContain('earlier job of this volume');
    expect(await ended(id)).toMatchObject({ status: 'completed' });
    // First the old detach, then the new attach: the other way round the volume would be gone again by now.
    const kinds = rig.model.effects.filter((one) => one.volumeId === volumeId).map(({ kind }) => kind);
    expect(kinds).toEqual(['create', 'attach', 'detach', 'attach']);
    expect(rig.lab.guest.devicePath(volumeId)).not.toBeNull();
  });
});

/**
 * What a detach leaves that ran into its deadline: it has ended, its job in CloudStack has not. Written as
 * the daemon writes it.
 */
async function leaveStraggler(volumeId: string, jobId: string): Promise<void> {
  const pool = openPool(parseDsn(rig.lab.database.dsn));
  try {
    const ledger = new MysqlLedger(pool, Date.now);
    const epoch = await ledger.takeOver(rig.appliance, 'test');
    const id = crypto.randomUUID();
    const request = { volume_id: volumeId };
    const input = { id, volumeId, vmId: null, request, idempotencyKey: null, requestHash: 'a'.repeat(64) };
    await ledger.accept(epoch, { ...input, type: 'detach', at: Date.now() });
    await ledger.claim(epoch, 1);
    await ledger.append(epoch, id, {
      after: 2,
      at: Date.now(),
      entries: [
        { step: 'detach-volume', state: 'intent', data: { job_id: jobId } },
        { step: 'detach-volume', state: 'accepted', data: { job_id: jobId } },
      ],
      end: { status: 'failed', response: null, error: 'the job has not ended', errorCode: 'STEP_DEADLINE' },
    });
  } finally {
    await pool.close();
  }
}

describe('somebody else writes into the database', () => {
  it('a mapping that is deleted while its attach goes on is made again', async () => {
    const volumeId = await newVolume('meddled-with');
    await rig.lab.database.query(
      // A trigger cannot delete from its own table: the first row is turned into one of another volume.
      `CREATE TRIGGER meddler BEFORE INSERT ON device_mappings FOR EACH ROW
       IF NEW.volume_id = '${volumeId}' AND (
         SELECT COUNT(*) FROM volume_operation_steps s JOIN volume_operations o ON o.id = s.operation_id
         WHERE o.volume_id = '${volumeId}' AND s.step = 'map') < 2
       THEN SET NEW.id = 'somebody else', NEW.volume_id = 'somebody else', NEW.device_path = 'nowhere'; END IF`,
      [],
      DATABASE,
    );
    const end = await rig.follow(attachOf(volumeId));
    await rig.lab.database.query('DROP TRIGGER meddler', [], DATABASE);
    await rig.lab.database.query(
      "DELETE FROM device_mappings WHERE volume_id = 'somebody else'",
      [],
      DATABASE,
    );
    expect(end.status).toBe('completed');
    const maps = await rig.rows(
      "SELECT state FROM volume_operation_steps WHERE operation_id = ? AND step = 'map'",
      [end.id],
    );
    expect(maps).toHaveLength(2);
    const [mapping] = await rig.rows('SELECT device_path FROM device_mappings WHERE volume_id = ?', [
      volumeId,
    ]);
    expect(mapping?.device_path).toBe(rig.lab.guest.devicePath(volumeId));
  });
});

describe('a programming error', () => {
  it('ends the process with 70 after it was logged; the next start ends the operation, its effect once', async () => {
    const volumeId = await newVolume('mistake');
    // The ledger answers what no code of the daemon expects.
    await rig.lab.database.query(
      `CREATE TRIGGER mistake BEFORE INSERT ON volume_operation_steps FOR EACH ROW
       IF NEW.step = 'attach-volume' AND NEW.state = 'finished' THEN
         SIGNAL SQLSTATE '42000' SET MESSAGE_TEXT = 'nobody expects this', MYSQL_ERRNO = 1064; END IF`,
      [],
      DATABASE,
    );
    const { id } = await rig.accepted(attachOf(volumeId));
    expect(await rig.daemon.exited).toMatchObject({ code: 70, signal: null });
    expect(rig.daemon.log()).toContain('A programming error ended the daemon');
    expect(rig.daemon.log()).toContain('nobody expects this');
    await rig.lab.database.query('DROP TRIGGER mistake', [], DATABASE);
    await rig.restart();
    expect(await ended(id)).toMatchObject({ status: 'completed' });
    expect(rig.model.effectsOf(volumeId, 'attach')).toBe(1);
  });
});
