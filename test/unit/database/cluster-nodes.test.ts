import { describe, expect, it } from 'vitest';
import { LIMITS } from '~/server/core/limits';
import { silentLogger } from '~/server/core/log/logger';
import {
  ClusterNodes,
  isFull,
  isRefusalOfNode,
  isTooLarge,
  isUnreachable,
  vet,
} from '~/server/database/connection/cluster-nodes';
import type { Address } from '~/server/database/connection/dsn';

const node = (host: string): Address => ({ host, port: 3306, socketPath: null });
const [A, B] = [node('a'), node('b')];

const packet = (errno: number, message = 'no', sqlState = 'HY000') =>
  Object.assign(new Error(message), { errno, sqlState });
const raised = (code: string | null, message = 'no') =>
  Object.assign(new Error(message), code === null ? {} : { code });

/** What is told of moves, warnings and nodes that work again. */
function nodesOf(addresses: readonly [Address, ...Address[]]) {
  const told: string[] = [];
  const note = (text: string) => told.push(text);
  const nodes = new ClusterNodes(addresses, { ...silentLogger, warn: note, info: note });
  nodes.onMove(() => told.push('moved'));
  return { nodes, told: () => told.splice(0) };
}

describe('which node is used', () => {
  it('one that is left is left once, by whoever finds it out', () => {
    const { nodes, told } = nodesOf([A, B]);
    expect([nodes.leave(A, 'silent'), nodes.leave(A, 'silent')]).toEqual([true, true]);
    expect(nodes.current, 'the second had met the node that is left already').toBe(B);
    expect(told()).toEqual(['A node of the database is left for the next', 'moved']);
  });

  it('while none works, each is tried in turn, and told once for each reason', () => {
    const { nodes, told } = nodesOf([A, B]);
    nodes.leave(A, 'silent');
    nodes.leave(B, 'silent');
    told();
    nodes.leave(A, 'silent');
    expect(told()).toEqual(['moved']);
    nodes.leave(B, 'read-only');
    expect(told()).toEqual(['A node of the database is left for the next', 'moved']);
    nodes.works(A);
    nodes.works(A);
    expect(told()).toEqual(['A node of the database works again']);
  });

  it('the only one is never left', () => {
    const { nodes, told } = nodesOf([A]);
    expect(nodes.leave(A, 'silent')).toBe(false);
    for (let write = 0; write < 2 * LIMITS.UNANSWERED_WRITES; write += 1) nodes.writeUnanswered(A);
    expect([nodes.current, told()]).toEqual([A, []]);
  });

  it('one that leaves writes in a row unanswered is left; not for single ones, nor for those of another', () => {
    const { nodes } = nodesOf([A, B]);
    for (let write = 0; write < 2 * LIMITS.UNANSWERED_WRITES; write += 1) {
      nodes.writeUnanswered(A);
      nodes.writeAnswered();
      nodes.writeUnanswered(B);
    }
    expect(nodes.current).toBe(A);
    for (let write = 1; write < LIMITS.UNANSWERED_WRITES; write += 1) nodes.writeUnanswered(A);
    expect(nodes.current).toBe(A);
    nodes.writeUnanswered(A);
    expect(nodes.current).toBe(B);
    nodes.writeUnanswered(B);
    expect(nodes.current, 'the next one begins anew').toBe(B);
  });

  it('that there are no more connections is told once, until one is given', () => {
    const { nodes, told } = nodesOf([A]);
    nodes.givesNoMore('1040');
    nodes.givesNoMore('1040');
    expect(told()).toHaveLength(1);
    nodes.works(A);
    nodes.givesNoMore('1040');
    expect(told()).toHaveLength(1);
  });

  it('whoever keeps idle connections hears below which rank they are to be closed', () => {
    const { nodes } = nodesOf([A]);
    const heard: number[] = [];
    nodes.onCloseIdle((below) => heard.push(below));
    nodes.closeIdle(2);
    nodes.closeIdle();
    expect(heard).toEqual([2, Number.POSITIVE_INFINITY]);
  });
});

describe('what is only the trouble of this node', () => {
  it.each([
    ['it shuts down', packet(1053), true],
    ['its disk is full', packet(1021), true],
    ['it takes no writes', packet(1290), true],
    ['it is outside of its cluster', packet(1047), true],
    ['something of the next version', packet(60_000), true],
    ['no such table', packet(1146), false],
    ['the account', packet(1045), false],
    ['a statement that is too large', packet(1153), false],
    ['a write set that is too large for the cluster', packet(1180, 'Maximum writeset size exceeded'), false],
    ['a deadlock', packet(1213), false],
    ['a row', packet(1062), false],
    ['an error of the system: it has answered nothing', raised('ECONNREFUSED'), false],
  ])('%s', (_what, error, expected) => {
    expect(isRefusalOfNode(error)).toBe(expected);
  });

  it.each([
    ['nobody listens', raised('ECONNREFUSED'), true],
    ['broken while it greeted', raised('ECONNRESET'), true],
    ['it refuses', packet(1047), true],
    ['our pool is full', raised(null, 'Queue limit reached.'), false],
    ['our pool is closed', raised(null, 'Pool is closed.'), false],
    ['a mistake of ours', new TypeError('no'), false],
  ])('no connection could be had: %s', (_what, error, expected) => {
    expect(isUnreachable(error)).toBe(expected);
  });

  it.each([
    [packet(1153), true, false],
    [packet(1180, 'Got error 90 "Message too long" during COMMIT'), true, false],
    [packet(1040), false, true],
    [packet(1203), false, true],
    [packet(1226), false, true],
    [packet(1213), false, false],
    [raised('ECONNREFUSED'), false, false],
  ])('%s: too large %s, full %s', (error, tooLarge, full) => {
    expect([isTooLarge(error), isFull(error)]).toEqual([tooLarge, full]);
  });
});

describe('a look at the node behind a new connection', () => {
  const GALERA = { wsrep_on: 'ON', wsrep_reject_queries: 'NONE', read_only: 'OFF' };
  const PRIMARY = { wsrep_ready: 'ON', wsrep_cluster_status: 'Primary' };
  const WRITER = { writable: true, causal: true };

  async function look(
    variables: object,
    status: object,
    demands: { readonly writable: boolean; readonly causal: boolean },
  ): Promise<string> {
    let isCausal = false;
    const rows = (values: object) =>
      Object.entries(values).map(([name, Value]) => ({ Variable_name: name, Value }));
    const ask = async ({ sql }: { readonly sql: string }) => {
      if (sql.startsWith('SHOW GLOBAL VARIABLES')) return rows(variables);
      if (sql.startsWith('SHOW GLOBAL STATUS')) return rows(status);
      isCausal = sql === 'SET SESSION wsrep_sync_wait = 1';
      return { affectedRows: 0 };
    };
    return vet(ask, { ...demands, timeoutMs: 1 }).then(
      () => (isCausal ? 'causal' : 'taken'),
      (error: unknown) => (isRefusalOfNode(error) && error instanceof Error ? error.message : 'odd'),
    );
  }

  it.each([
    ['primary and ready', GALERA, PRIMARY, WRITER, 'causal'],
    ['a single server', { read_only: 'OFF' }, {}, WRITER, 'taken'],
    ['Galera that is switched off', { ...GALERA, wsrep_on: 'OFF' }, {}, WRITER, 'taken'],
    ['the lease needs no waiting', GALERA, PRIMARY, { writable: true, causal: false }, 'taken'],
    ['a replica', { read_only: 'ON' }, {}, WRITER, /read_only is on/],
    ['a replica, as MySQL says it', { super_read_only: '1' }, {}, WRITER, /super_read_only is on/],
    ['a cluster of MySQL', { innodb_read_only: 'ON' }, {}, WRITER, /innodb_read_only is on/],
    ['there is no other node', { read_only: 'ON' }, {}, { writable: false, causal: true }, 'taken'],
    ['cut off, and no other', GALERA, {}, { writable: false, causal: true }, 'causal'],
    ['a donor', { ...GALERA, wsrep_reject_queries: 'ALL' }, PRIMARY, WRITER, /wsrep_reject_queries is ALL/],
    ['cut off', GALERA, { ...PRIMARY, wsrep_cluster_status: 'non-Primary' }, WRITER, /is non-Primary/],
    ['it says nothing of its part', GALERA, { wsrep_ready: 'ON' }, WRITER, /is unknown/],
    ['not ready', GALERA, { ...PRIMARY, wsrep_ready: 'OFF' }, WRITER, /wsrep_ready is off/],
    ['nothing of being ready', GALERA, { wsrep_cluster_status: 'Primary' }, WRITER, /wsrep_ready is off/],
  ])('%s', async (_what, variables, status, demands, expected) => {
    expect(await look(variables, status, demands)).toMatch(expected);
  });
});
