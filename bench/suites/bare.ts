import { Worker } from 'node:worker_threads';
import { createPool } from 'mysql2/promise';
import { ApiClient, type OperationReply } from '~/lab/client';
import { freePort } from '~/lab/ports';
import { parseDsn } from '~/server/database/connection/dsn';
import { connectionOptions, openPool } from '~/server/database/connection/pool';
import { MysqlLedger } from '~/server/database/mysql-ledger';
import { atMost, type Suite } from '../bench';
import { withLab } from '../lab';
import { distribution, load, times } from '../measure';

const ROUNDS = 5;

export const bare: Suite = {
  name: 'bare',
  about: 'our routes beside a bare h3 route, our reads beside a bare SELECT',
  run: (bench) =>
    withLab({}, async (lab) => {
      const daemon = await lab.startDaemon();
      const api = new ApiClient(daemon.url);
      const { id } = await api.post<OperationReply>(
        '/api/v1/volumes/00000000-0000-4000-8000-000000000001/detach',
      );

      bench.progress('routes');
      const plain = await startBareRoute();
      const n = bench.quick ? 1000 : 10_000;
      const rate = (url: string, path: string) =>
        load({ url, method: 'GET', path: () => path, connections: 10, amount: n });
      const rounds: Record<'bare' | 'ours' | 'operation' | 'health', number[]> = {
        bare: [],
        ours: [],
        operation: [],
        health: [],
      };
      for (let round = 0; round < ROUNDS; round += 1) {
        rounds.bare.push(await rate(plain.url, '/'));
        rounds.ours.push(await rate(daemon.url, '/livez'));
        rounds.health.push(await rate(daemon.url, '/health'));
        rounds.operation.push(await rate(daemon.url, `/api/v1/operations/${id}`));
      }
      await plain.stop();
      const [b, o] = [distribution(rounds.bare).p50, distribution(rounds.ours).p50];
      bench.add('bare h3 route', b, '1/s');
      bench.add('GET /livez', o, '1/s', null, 'with request id, guard, security headers');
      bench.add('GET /health', distribution(rounds.health).p50, '1/s');
      bench.add('GET operation', distribution(rounds.operation).p50, '1/s', null, 'one round trip');
      bench.add('bare / ours', b / o, '×', atMost(1.5));

      bench.progress('reads');
      const dsn = parseDsn(lab.database.dsn);
      const pool = createPool(connectionOptions(dsn));
      const database = openPool(dsn);
      const ledger = new MysqlLedger(database, Date.now);
      const select = () => pool.query('SELECT * FROM volume_operations WHERE id = ?', [id]);
      const read = () => ledger.readOperation(id);
      await times(500, 1, select);
      await times(500, 1, read);
      const selects: number[] = [];
      const reads: number[] = [];
      for (let round = 0; round < ROUNDS; round += 1) {
        selects.push(...(await times(n / 10, 1, select)).samples);
        reads.push(...(await times(n / 10, 1, read)).samples);
      }
      const [s, r] = [bench.addTimes('bare SELECT', selects).p50, bench.addTimes('readOperation', reads).p50];
      bench.add('ours / bare, p50', r / s, '×', atMost(1.5));
      await pool.end();
      await database.close();
      await daemon.stop();
    }),
};

/**
 * A h3 app with one route and nothing else, in a thread of its own as the daemon is in a process of its own.
 */
export async function startBareRoute(): Promise<{ url: string; stop(): Promise<number> }> {
  const port = await freePort();
  const source = `
    const { createServer } = require('node:http');
    const { parentPort } = require('node:worker_threads');
    import('h3').then(({ createApp, eventHandler, toNodeListener }) => {
      const app = createApp().use('/', eventHandler(() => ({ status: 'ok' })));
      createServer(toNodeListener(app)).listen(${port}, '127.0.0.1', () => parentPort.postMessage('listening'));
    });`;
  const worker = new Worker(source, { eval: true });
  await new Promise((resolve) => worker.once('message', resolve));
  return { url: `http://127.0.0.1:${port}`, stop: () => worker.terminate() };
}
