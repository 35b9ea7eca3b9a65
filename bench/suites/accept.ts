import { randomUUID } from 'node:crypto';
import { createPool } from 'mysql2/promise';
import { ApiClient, type OperationReply } from '~/lab/client';
import { parseDsn } from '~/server/database/connection/dsn';
import { connectionOptions } from '~/server/database/connection/pool';
import { atLeast, atMost, type Suite } from '../bench';
import { Caller } from '../caller';
import { stallCloud, withLab } from '../lab';
import { distribution, load, times } from '../measure';

/** Rounds of the throughput figures; they alternate, so that a noisy moment hits both. */
const ROUNDS = 5;

export const accept: Suite = {
  name: 'accept',
  about: 'POST → 201, beside what the database can do at all',
  run: (bench) =>
    withLab({}, async (lab) => {
      const daemon = await lab.startDaemon();
      const api = new ApiClient(daemon.url);
      stallCloud(lab);
      const path = () => `/api/v1/volumes/${randomUUID()}/detach`;
      const detach = () => api.post<OperationReply>(path());
      bench.progress('filling the engine');
      // What comes later is accepted and stays pending.
      await times(400, 16, detach);
      bench.progress('one client, beside bare INSERT + COMMIT on one connection');
      const pool = createPool({ ...connectionOptions(parseDsn(lab.database.dsn)), connectionLimit: 50 });
      await pool.query('CREATE TABLE bench_bare (id CHAR(36) PRIMARY KEY, data VARCHAR(500)) ENGINE=InnoDB');
      const insert = () =>
        pool.query('INSERT INTO bench_bare VALUES (?, ?)', [randomUUID(), 'x'.repeat(300)]);
      const caller = new Caller();
      const requests = (count: number) =>
        Array.from({ length: count }, () => ({ url: daemon.url + path(), body: {} }));
      // A daemon lives for months: what counts is its code once it is compiled.
      const first = bench.quick ? 200 : 4000;
      bench.addTimes(
        `accept, 1 client, the first ${first} after the start`,
        await caller.post(requests(first)),
      );
      const accepted = await caller.post(requests(bench.quick ? 200 : 2000));
      bench.addTimes('accept, 1 client', accepted, atMost(10), atMost(1.2));
      bench.addTimes(
        'bare INSERT + COMMIT, 1 connection',
        (await times(bench.quick ? 200 : 2000, 1, insert)).samples,
      );

      await caller.stop();
      bench.progress('50 clients, beside bare INSERT + COMMIT on 50 connections');
      await times(500, 50, insert);
      const n = bench.quick ? 500 : 4000;
      const ours: number[] = [];
      const bare: number[] = [];
      for (let round = 0; round < ROUNDS; round += 1) {
        ours.push(await load({ url: daemon.url, method: 'POST', path, connections: 50, amount: n }));
        bare.push((await times(n, 50, insert)).perSecond);
      }
      await pool.end();
      const [a, b] = [distribution(ours), distribution(bare)];
      bench.add(
        'accept, 50 clients',
        a.p50,
        '1/s',
        null,
        `${ROUNDS} rounds, ${a.min.toFixed(0)}–${a.max.toFixed(0)}`,
      );
      bench.add(
        'bare INSERT + COMMIT, 50 connections',
        b.p50,
        '1/s',
        null,
        `${b.min.toFixed(0)}–${b.max.toFixed(0)}`,
      );
      bench.add('accept / bare', a.p50 / b.p50, '', atLeast(0.6));
      await daemon.kill();
    }),
};
