import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OperationReply } from '~/lab/client';
import { sleep } from './load/chance';
import { type Ask, Rig } from './rig';

/** One row that cannot be understood concerns one operation: everybody else works, and the row is named. */
const DATABASE = 'migratekit_oma';
const PATIENCE_MS = 40_000;

interface Listed extends OperationReply {
  readonly type: string;
  readonly held?: string;
  readonly wait_reason?: string;
  readonly error_code?: string;
}

interface Health {
  readonly status: string;
  readonly details: {
    readonly phase: string;
    readonly held: readonly { readonly id: string; readonly reason: string }[];
  };
}

let rig: Rig;

beforeAll(async () => {
  rig = await Rig.begin();
  await rig.lab.database.query(
    `ALTER TABLE volume_operations MODIFY COLUMN type
      ENUM('create','attach','detach','delete','cleanup','recover','teleport') NOT NULL`,
    [],
    DATABASE,
  );
  await rig.lab.database.query(
    `ALTER TABLE volume_operations MODIFY COLUMN status
      ENUM('pending','executing','completed','failed','cancelled','paused') NOT NULL DEFAULT 'pending'`,
    [],
    DATABASE,
  );
});
afterAll(() => rig?.close());

async function read<T>(path: string): Promise<T> {
  const answer = await fetch(rig.daemon.url + path).catch((cause: unknown) => {
    throw new Error(`no answer; the daemon said:\n${rig.daemon.log().slice(-4_000)}`, { cause });
  });
  return JSON.parse(await answer.text());
}

async function until<T>(path: string, isIt: (value: T) => boolean): Promise<T> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const value = await read<T>(path);
    if (isIt(value)) return value;
    if (performance.now() > deadline) throw new Error(`${path} stays ${JSON.stringify(value)}`);
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

/** As another program may write: neither strict, nor is MariaDB's own check of JSON columns asked. */
async function write(sql: string, values: readonly unknown[]): Promise<void> {
  await rig.lab.database.query(
    `SET STATEMENT check_constraint_checks = 0, sql_mode = '' FOR ${sql}`,
    values,
    DATABASE,
  );
}

/** Of this volume and the appliance. */
function about(statement: string, volume: string): string {
  return statement.replace('VOLUME', volume).replace('VM', rig.appliance);
}

async function release(id: string, how: 'retry' | 'abandon'): Promise<{ status: number; body: Listed }> {
  const answer = await fetch(`${rig.daemon.url}/api/v1/operations/${id}/${how}`, { method: 'POST' });
  return { status: answer.status, body: JSON.parse(await answer.text()) };
}

const operation = (id: string) => `/api/v1/operations/${id}`;
const heldIn = ({ details }: Health) => details.held.map(({ id }) => id);

/** The journal entries of an event stream that has ended. */
function entriesOf(stream: string): { sequence: number; state: string; unreadable?: string }[] {
  return [...stream.matchAll(/^data: (.*)$/gm)].map(([, data = '']) => JSON.parse(data));
}

interface Damage {
  readonly kind: string;
  readonly reason: RegExp;
  readonly spoil: string;
  readonly mend: string;
}

const JOURNAL = 'UPDATE volume_operation_steps SET';
const AT = "WHERE step = 'operation' AND state IN ('executing', 'hibernating') AND operation_id = ?";
const ROW = 'UPDATE volume_operations SET';
const DAMAGES: readonly Damage[] = [
  {
    kind: 'a journal state of another version',
    reason: /journal entry 2: its state "hibernating" is not known/,
    spoil: `${JOURNAL} state = 'hibernating' ${AT}`,
    mend: `${JOURNAL} state = 'executing' ${AT}`,
  },
  {
    kind: 'a step of another version',
    reason: /journal entry 2: its step "teleport" is not known/,
    spoil: `${JOURNAL} step = 'teleport' ${AT}`,
    mend: `${JOURNAL} step = 'operation' WHERE step = 'teleport' AND operation_id = ?`,
  },
  {
    kind: 'broken JSON in the journal',
    reason: /journal entry 2: its data is not a JSON object/,
    spoil: `${JOURNAL} data = '{"epoch": ' ${AT}`,
    mend: `${JOURNAL} data = '{}' ${AT}`,
  },
  {
    kind: 'an operation type of another version',
    reason: /its type "teleport" is not known/,
    spoil: `${ROW} type = 'teleport' WHERE id = ?`,
    mend: `${ROW} type = 'attach' WHERE id = ?`,
  },
  {
    kind: 'a broken request',
    reason: /its request is not a JSON object/,
    spoil: `${ROW} request = 'nonsense' WHERE id = ?`,
    mend: `${ROW} request = '{"volume_id": "VOLUME", "vm_id": "VM"}' WHERE id = ?`,
  },
  {
    kind: 'a request with a field of another version',
    reason: /its request is not understood in attach_as/,
    spoil: `${ROW} request = '{"volume_id": "VOLUME", "vm_id": "VM", "attach_as": "data"}' WHERE id = ?`,
    mend: `${ROW} request = '{"volume_id": "VOLUME", "vm_id": "VM"}' WHERE id = ?`,
  },
  {
    kind: 'a status of another version',
    reason: /its status "paused" is not known/,
    spoil: `${ROW} status = 'paused' WHERE id = ?`,
    mend: `${ROW} wait_reason = NULL WHERE id = ?`,
  },
  {
    kind: 'a status that is no word of the column',
    reason: /its status "" is not known/,
    spoil: `${ROW} status = 'on hold' WHERE id = ?`,
    mend: `${ROW} wait_reason = NULL WHERE id = ?`,
  },
];

describe('rows that this version does not understand', () => {
  it.each(DAMAGES)(
    '$kind: held and named, everybody else works, retry goes on after it was mended',
    async (damage) => {
      const [volume, other] = [await newVolume('spoilt'), await newVolume('other')];
      rig.model.faults.add({ command: 'attachVolume', kind: 'fail-before-effect', times: 1_000_000 });
      const { id } = await rig.accepted(attachOf(volume));
      await until<Listed>(operation(id), ({ wait_reason }) => wait_reason !== undefined);
      await rig.daemon.stop();
      rig.model.faults.clear();
      await write(about(damage.spoil, volume), [id]);
      await rig.restart();
      const health = await until<Health>('/api/v1/health', (one) => heldIn(one).includes(id));
      expect(health).toMatchObject({ status: 'degraded', details: { phase: 'ready' } });
      expect(rig.daemon.log()).toMatch(new RegExp(`An operation is held.*${id}`));
      const listed = (await read<Listed[]>('/api/v1/operations')).find((one) => one.id === id);
      expect(listed?.held).toMatch(damage.reason);
      expect(
        (
          await fetch(`${rig.daemon.url}${operation(id)}/events`, {
            headers: { accept: 'text/event-stream' },
          })
        ).status,
      ).toBe(200);
      expect(await (await fetch(`${rig.daemon.url}/metrics`)).text()).toContain(
        'volume_daemon_operations_held 1',
      );
      expect((await rig.follow(attachOf(other))).status).toBe('completed');
      // What the held one has done is not known, so its volume waits, and says for what.
      const behind = await rig.accepted({ method: 'POST', path: `/api/v1/volumes/${volume}/detach` });
      expect((await read<Listed>(operation(behind.id))).wait_reason).toContain(id);
      await write(about(damage.mend, volume), [id]);
      expect((await release(id, 'retry')).status).toBe(200);
      for (const one of [id, behind.id]) {
        const ended = await until<Listed>(
          operation(one),
          ({ status }) => !['pending', 'executing'].includes(status),
        );
        expect(ended.status).toBe('completed');
      }
      expect(rig.model.effectsOf(volume, 'attach')).toBe(1);
      await until<Health>('/api/v1/health', (one) => one.details.held.length === 0);
    },
  );

  it.each(DAMAGES)('$kind, of an operation that has ended: lists answer and name it', async (damage) => {
    const volume = await newVolume('ended');
    const { id } = await rig.follow(attachOf(volume));
    await write(about(damage.spoil, volume), [id]);
    const listed = await read<Listed[]>(`/api/v1/operations?volume_id=${volume}`);
    expect(listed.map((one) => one.id)).toContain(id);
    if (damage.spoil.startsWith(ROW))
      expect(listed.find((one) => one.id === id)?.held).toMatch(damage.reason);
    expect((await read<Listed>(operation(id))).held).toMatch(damage.reason);
    const events = entriesOf(await (await fetch(`${rig.daemon.url}${operation(id)}/events`)).text());
    expect(events.at(-1)?.state).toBe('completed');
    const strange = events.filter(({ unreadable }) => unreadable !== undefined);
    const named = strange.map(({ sequence, unreadable }) => `journal entry ${sequence}: ${unreadable}`);
    if (damage.spoil.startsWith(ROW)) expect(named).toEqual([]);
    else expect(named).toEqual([expect.stringMatching(damage.reason)]);
    expect((await release(id, 'abandon')).status).toBe(409);
    expect((await rig.follow({ method: 'POST', path: `/api/v1/volumes/${volume}/detach` })).status).toBe(
      'completed',
    );
  });
});

describe('an operation that ends the process', () => {
  it('twice in a row at the same step: held at the next start; the rest works; abandoned, it says what is left', async () => {
    const volume = await newVolume('poison');
    await rig.lab.database.query(
      `CREATE TRIGGER poison BEFORE INSERT ON volume_operation_steps FOR EACH ROW
       IF NEW.step = 'attach-volume' AND NEW.state = 'finished' THEN
         SIGNAL SQLSTATE '42000' SET MESSAGE_TEXT = 'nobody expects this', MYSQL_ERRNO = 1064; END IF`,
      [],
      DATABASE,
    );
    const { id } = await rig.accepted(attachOf(volume));
    expect(await rig.daemon.exited).toMatchObject({ code: 70 });
    await rig.restart('listening').catch(() => undefined);
    expect(await rig.daemon.exited).toMatchObject({ code: 70 });
    await rig.restart();
    const health = await until<Health>('/api/v1/health', (one) => heldIn(one).includes(id));
    expect(health.details.held[0]?.reason).toMatch(/ended the daemon 2 times .*nobody expects this/);
    await newVolume('another');
    await rig.lab.database.query('DROP TRIGGER poison', [], DATABASE);
    const { status, body } = await release(id, 'abandon');
    expect([status, body.status, body.error_code]).toEqual([200, 'failed', 'OPERATION_ABANDONED']);
    expect(body.error).toContain('attach-volume (job');
    // What it has left is picked up by the next operation of the volume: its job is waited for first.
    expect((await rig.follow(attachOf(volume))).status).toBe('completed');
    expect(rig.model.effectsOf(volume, 'attach')).toBe(1);
  });
});
