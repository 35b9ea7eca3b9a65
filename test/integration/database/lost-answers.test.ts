import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { DatabaseProxy } from '~/lab/faults/database-proxy';
import { type Mariadb, startMariadb } from '~/lab/mariadb';
import { silentLogger } from '~/server/core/log/logger';
import { type Dsn, parseDsn } from '~/server/database/connection/dsn';
import { type Database, openPool } from '~/server/database/connection/pool';
import { migrate } from '~/server/database/migrations/migrate';
import { MysqlLedger } from '~/server/database/mysql-ledger';
import type { Epoch } from '~/server/model/ledger';
import type { NewOperation, OperationChange } from '~/server/model/ledger-writes';
import type { NewMapping } from '~/server/model/operation';
import { CuttingProxy } from './cutting-proxy';

const APPLIANCE = 'd0000000-0000-4000-8000-00000000000d';
const VOLUME = 'a0000000-0000-4000-8000-000000000001';
const T0 = Date.UTC(2026, 0, 1);

let server: Mariadb;
let proxy: CuttingProxy;
let dsn: Dsn;
let pool: Database;
let ledger: MysqlLedger;
/** Reads past the proxy: what is really there. */
let truth: MysqlLedger;
let truthPool: Database;
let epoch: Epoch;

beforeAll(async () => {
  server = await startMariadb();
  proxy = new CuttingProxy(server);
  const direct = parseDsn(server.dsn);
  await migrate(direct, silentLogger);
  dsn = { ...direct, port: await proxy.start() };
  truthPool = openPool(direct);
  truth = new MysqlLedger(truthPool, () => T0);
});
afterAll(async () => {
  await truthPool.close();
  await proxy.stop();
  await server.stop();
});
beforeEach(async () => {
  for (const table of [
    'volume_operation_steps',
    'volume_operations',
    'device_mappings',
    'appliances',
    'volume_operation_totals',
  ])
    await server.query(`DELETE FROM ${table}`, [], dsn.database);
  pool = openPool(dsn);
  ledger = new MysqlLedger(pool, () => T0);
  epoch = await ledger.takeOver(APPLIANCE, 'test');
  proxy.cuts = 0;
});
afterEach(() => pool.close());

const request = (id: string, idempotencyKey: string | null = null): NewOperation<'attach'> => ({
  id,
  type: 'attach',
  volumeId: VOLUME,
  vmId: APPLIANCE,
  request: { volume_id: VOLUME, vm_id: APPLIANCE },
  idempotencyKey,
  requestHash: 'a'.repeat(64),
  at: T0,
});

async function executing(): Promise<string> {
  await ledger.accept(epoch, request('one'));
  await ledger.claim(epoch, 1);
  return 'one';
}

describe.each(['before', 'after'] as const)(
  'the connection breaks at COMMIT, and the COMMIT is lost %s it took effect',
  (moment) => {
    it('a request is accepted exactly once', async () => {
      proxy.cut = moment;
      const accepted = await ledger.accept(epoch, request('one', 'key'));
      expect(proxy.cuts).toBe(1);
      expect(accepted).toMatchObject({
        outcome: 'accepted',
        operation: { id: 'one', status: 'pending' },
        entry: { sequence: 1, state: 'pending' },
      });
      expect(await truth.listOperations({ limit: 10 })).toHaveLength(1);
      expect(await truth.readJournal('one')).toEqual([accepted.entry]);
    });

    it('so is one that goes as one packet, which all do but the first', async () => {
      await ledger.accept(epoch, { ...request('first'), volumeId: 'a0000000-0000-4000-8000-000000000002' });
      proxy.cut = moment;
      const accepted = await ledger.accept(epoch, request('one', 'key'));
      expect(proxy.cuts).toBe(1);
      expect(accepted).toMatchObject({ outcome: 'accepted', operation: { id: 'one', status: 'pending' } });
      expect(await truth.listOperations({ limit: 10 })).toHaveLength(2);
      expect(await truth.readJournal('one')).toEqual([accepted.entry]);
    });

    it('an operation is claimed exactly once', async () => {
      await ledger.accept(epoch, request('one'));
      proxy.cut = moment;
      expect((await ledger.claim(epoch, 1)).map(({ operation }) => operation.id)).toEqual(['one']);
      expect(proxy.cuts).toBe(1);
      expect(await truth.claim(epoch, 1)).toEqual([]);
      expect((await truth.readJournal('one')).map(({ state }) => state)).toEqual(['pending', 'executing']);
    });

    it('journal entries and effects are written exactly once', async () => {
      const id = await executing();
      const change: OperationChange = {
        after: 2,
        at: T0 + 5,
        entries: [{ step: 'attach-volume', state: 'intent', data: { job_id: 'j' } }],
        effects: [{ kind: 'put-mapping', mapping }],
        end: { status: 'completed', response: { message: 'ok' }, error: null, errorCode: null },
      };
      proxy.cut = moment;
      const written = await ledger.append(epoch, id, change);
      expect(proxy.cuts).toBe(1);
      expect(await truth.readJournal(id)).toHaveLength(4);
      expect((await truth.readJournal(id)).slice(2)).toEqual(written);
      expect(await truth.readOperation(id)).toMatchObject({
        status: 'completed',
        response: { message: 'ok' },
      });
      expect(await truth.readMapping(VOLUME)).toMatchObject({ devicePath: '/dev/vdb' });
    });

    it('so is a single entry', async () => {
      const id = await executing();
      const entries: OperationChange['entries'] = [
        { step: 'attach-volume', state: 'intent', data: { job_id: 'j' } },
      ];
      proxy.cut = moment;
      const written = await ledger.append(epoch, id, { after: 2, at: T0 + 5, entries });
      expect(proxy.cuts).toBe(1);
      expect((await truth.readJournal(id)).slice(2)).toEqual(written);
    });

    it('so are the entries of several operations that share a packet, one of them an end', async () => {
      const ids = ['one', 'two', 'three', 'four'];
      for (const [n, id] of ids.entries())
        await ledger.accept(epoch, { ...request(id), volumeId: `a0000000-0000-4000-8000-00000000010${n}` });
      await ledger.claim(epoch, 10);
      const intent: OperationChange = {
        after: 2,
        at: T0 + 5,
        entries: [{ step: 'attach-volume', state: 'intent', data: { job_id: 'j' } }],
      };
      const end = { status: 'failed' as const, response: null, error: 'x', errorCode: null };
      // The first is on its way by itself when the others come.
      const first = ledger.append(epoch, 'one', intent);
      await Promise.resolve();
      proxy.cut = moment;
      const written = await Promise.all([
        first,
        ledger.append(epoch, 'two', intent),
        ledger.append(epoch, 'three', { ...intent, end }),
        ledger.append(epoch, 'four', intent),
      ]);
      expect(proxy.cuts).toBe(1);
      for (const [index, id] of ids.entries())
        expect((await truth.readJournal(id)).slice(2)).toEqual(written[index]);
      expect((await truth.counts(APPLIANCE)).byStatus.failed).toBe(1);
    });

    it('several operations are claimed exactly once', async () => {
      const ids = ['one', 'two', 'three'];
      for (const [n, id] of ids.entries())
        await ledger.accept(epoch, { ...request(id), volumeId: `a0000000-0000-4000-8000-00000000010${n}` });
      proxy.cut = moment;
      expect((await ledger.claim(epoch, 10)).map(({ operation }) => operation.id)).toEqual(ids);
      expect(proxy.cuts).toBe(1);
      for (const id of ids)
        expect((await truth.readJournal(id)).map(({ state }) => state)).toEqual(['pending', 'executing']);
    });

    it('a repair is journaled exactly once', async () => {
      proxy.cut = moment;
      await ledger.auditedChange(epoch, [{ kind: 'put-mapping', mapping }], {
        step: 'sync:test',
        state: 'note',
        data: {},
      });
      expect(proxy.cuts).toBe(1);
      expect(await truth.feed(APPLIANCE, 0, 10)).toHaveLength(1);
      expect(await truth.listMappings()).toHaveLength(1);
    });

    it('the result of a cancel is reported correctly', async () => {
      await ledger.accept(epoch, request('one'));
      proxy.cut = moment;
      expect(await ledger.requestCancel(epoch, 'one')).toBe('cancelled');
      expect(proxy.cuts).toBe(1);
      expect((await truth.readJournal('one')).map(({ state }) => state)).toEqual(['pending', 'cancelled']);
    });

    it('an open job is settled exactly once', async () => {
      const id = await executing();
      const end = { status: 'failed' as const, response: null, error: 'x', errorCode: null };
      await ledger.append(epoch, id, {
        after: 2,
        at: T0,
        entries: [{ step: 'detach-volume', state: 'intent', data: { job_id: 'j' } }],
        end,
      });
      proxy.cut = moment;
      await ledger.settleOpenJob(epoch, { operationId: id, step: 'detach-volume', jobId: 'j' }, {});
      expect(proxy.cuts).toBe(1);
      expect((await truth.readJournal(id)).filter(({ state }) => state === 'finished')).toHaveLength(1);
    });

    it('a take-over is not taken for one, and the next leaves one valid epoch', async () => {
      proxy.cut = moment;
      await expect(ledger.takeOver(APPLIANCE, 'unheard')).rejects.toMatchObject({
        code: 'DATABASE_UNAVAILABLE',
      });
      expect(proxy.cuts).toBe(1);
      const next = await ledger.takeOver(APPLIANCE, 'again');
      expect(await truth.readOwner(APPLIANCE)).toMatchObject({ owner: 'again', epoch: next.number });
    });
  },
);

const mapping: NewMapping = {
  volumeId: VOLUME,
  vmId: APPLIANCE,
  devicePath: '/dev/vdb',
  cloudstackState: 'attached',
  linuxState: 'detected',
  size: 1,
  controller: null,
  serial: null,
  diskseq: null,
  bootId: null,
  matchedBy: null,
  cloudstackDeviceId: null,
};

it('a proxy that refuses several statements in a text costs time, no request, and one line of the log', async () => {
  const between = new DatabaseProxy({ host: '127.0.0.1', port: server.port });
  let refused = 0;
  between.judge = ({ before }) => {
    if (before[0] !== 'START TRANSACTION') return null;
    refused += 1;
    return { refusal: { number: 1064, state: '42000', text: 'You have an error in your SQL syntax' } };
  };
  const said: string[] = [];
  const logger = { ...silentLogger, warn: (message: string) => void said.push(message) };
  const through = openPool({ ...dsn, port: await between.listen() }, logger);
  const careful = new MysqlLedger(through, () => T0);
  const other = { volumeId: 'a0000000-0000-4000-8000-000000000002', requestHash: 'b'.repeat(64) };
  await careful.accept(epoch, { ...request('first'), ...other });
  expect(await careful.accept(epoch, request('one'))).toMatchObject({ outcome: 'accepted' });
  expect(refused).toBe(1);
  const third = { volumeId: 'a0000000-0000-4000-8000-000000000003', requestHash: 'c'.repeat(64) };
  await careful.accept(epoch, { ...request('third'), ...third });
  expect(refused).toBe(2);
  expect(said).toEqual([expect.stringContaining('Several statements in one packet were refused')]);
  expect(await truth.listOperations({ limit: 10 })).toHaveLength(3);
  await through.close();
  await between.stop();
});
