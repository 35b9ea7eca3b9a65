import { connect } from 'node:net';
import type { SeededRandom } from './seeded-random';

const LONG = 'x'.repeat(20_000);

/** Not HTTP, or HTTP that servers have parsed in different ways. Written to the socket unchanged. */
const MALFORMED: readonly [string, ...string[]] = [
  '\r\n\r\n',
  'GET\r\n\r\n',
  'GET /health\r\n\r\n',
  'GET /health HTTP/0.9\r\n\r\n',
  'GET /health HTTP/3.0\r\nHost: localhost\r\n\r\n',
  'GET  /health  HTTP/1.1\r\nHost: localhost\r\n\r\n',
  'GET /health HTTP/1.1\r\n\r\n',
  'GET /health HTTP/1.1\nHost: localhost\n\n',
  'get /health HTTP/1.1\r\nHost: localhost\r\n\r\n',
  'G\u0000T /health HTTP/1.1\r\nHost: localhost\r\n\r\n',
  'GET /hea\u0000lth HTTP/1.1\r\nHost: localhost\r\n\r\n',
  'GET /health\u007f HTTP/1.1\r\nHost: localhost\r\n\r\n',
  'GET http://evil.example/health HTTP/1.1\r\nHost: localhost\r\n\r\n',
  'GET //evil.example/health HTTP/1.1\r\nHost: localhost\r\n\r\n',
  'OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n',
  'CONNECT localhost:22 HTTP/1.1\r\nHost: localhost:22\r\n\r\n',
  'TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n',
  'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  'GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n',
  'GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n',
  'GET /health HTTP/1.1\r\nHost : localhost\r\n\r\n',
  'GET /health HTTP/1.1\r\n Host: localhost\r\n\r\n',
  'GET /health HTTP/1.1\r\nHost: localhost\r\nX: a\rb\r\n\r\n',
  'GET /health HTTP/1.1\r\nHost: localhost\r\nX\u0000Y: a\r\n\r\n',
  `GET /${LONG} HTTP/1.1\r\nHost: localhost\r\n\r\n`,
  `GET /health HTTP/1.1\r\nHost: localhost\r\nX: ${LONG}\r\n\r\n`,
  `GET /health HTTP/1.1\r\nHost: localhost\r\n${Array.from({ length: 3000 }, (_, i) => `X${i}: 1`).join('\r\n')}\r\n\r\n`,
  'POST /api/v1/volumes HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /admin HTTP/1.1\r\n\r\n',
  'POST /api/v1/volumes HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n',
  'POST /api/v1/volumes HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n',
  'POST /api/v1/volumes HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n',
  'POST /api/v1/volumes HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}\r\n',
  'POST /api/v1/volumes HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2;ext=\u0001\r\n{}\r\n0\r\nX: y\r\n\r\n',
  'POST /api/v1/volumes HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n{}',
  'POST /api/v1/volumes HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2, 2\r\n\r\n{}',
  'POST /api/v1/volumes HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}x',
  'POST /api/v1/volumes HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n{}',
  'POST /api/v1/volumes HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0x2\r\n\r\n{}',
  'POST /api/v1/volumes HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}',
  'POST /api/v1/volumes HTTP/1.1\r\nHost: localhost\r\nExpect: a-miracle\r\nContent-Length: 2\r\n\r\n{}',
  'GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /livez HTTP/1.1\r\nHost: localhost\r\n\r\nnonsense\r\n\r\n',
  '\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003',
  'SSH-2.0-OpenSSH_9.2\r\n',
  '{"jsonrpc":"2.0"}\r\n\r\n',
  '\u00ff'.repeat(4096),
];

/** Without a response after this time, the client closes the socket. */
const RESPONSE_TIMEOUT_MS = 300;

/** Sends one and reads the statuses of the responses; none when the server did not respond. */
export function sendMalformed(
  port: number,
  random: SeededRandom,
): Promise<{ sent: string; statuses: number[] }> {
  const sent = random.pick(MALFORMED);
  const text = random.happens(0.15) ? flipped(sent, random) : sent;
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const chunks: Buffer[] = [];
    const timer = setTimeout(() => socket.destroy(), RESPONSE_TIMEOUT_MS);
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearTimeout(timer);
      const answer = Buffer.concat(chunks).toString('latin1');
      const statuses = [...answer.matchAll(/^HTTP\/1\.1 (\d{3}) /gm)].map(([, status]) => Number(status));
      resolve({ sent: text, statuses });
    });
    // Half-closes the connection, so that a server waiting for more data notices.
    socket.end(Buffer.from(text, 'latin1'));
  });
}

function flipped(text: string, random: SeededRandom): string {
  const at = random.below(text.length);
  return text.slice(0, at) + String.fromCharCode(random.below(256)) + text.slice(at + 1);
}
