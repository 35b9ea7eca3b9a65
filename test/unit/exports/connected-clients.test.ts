import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { expect, it } from 'vitest';
import { ConnectedClients } from '~/server/exports/connected-clients';

it('a handshake of ours is over before clients are counted: it would be one of them', async () => {
  const sockets: Socket[] = [];
  const server = createServer((socket) => void sockets.push(socket)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const clients = new ConnectedClients(
    { binary: '/no/such/program', isOurs: () => false, ports: [port] },
    '127.0.0.1',
  );
  const order: string[] = [];
  const probed = clients.probe('x', port).then(() => order.push('probed'));
  const counted = clients.processes().then(() => order.push('counted'));
  await once(server, 'connection');
  // Whoever does not wait for the handshake has counted by then.
  for (let turn = 0; turn < 100; turn += 1) await new Promise((next) => setImmediate(next));
  for (const socket of sockets) socket.destroy();
  await Promise.all([probed, counted]);
  expect(order).toEqual(['probed', 'counted']);
  server.close();
});
