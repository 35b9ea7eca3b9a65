import type { Socket } from 'node:net';

/*
 * Says no to a client in its own language: the greeting of an NBD server, then an error with a text as the
 * answer to every option. So `nbdinfo` and `nbdcopy` print the reason instead of "connection reset".
 */

const GREETING = Buffer.concat([Buffer.from('NBDMAGICIHAVEOPT', 'latin1'), Buffer.from([0, 3])]);
const REPLY_MAGIC = 0x0003e889045565a9n;
const ABORT = 2;
const FORBIDDEN_BY_POLICY = 0x8000_0002;
const CLIENT_FLAGS_BYTES = 4;
const OPTION_HEAD_BYTES = 16;
/** An option of a client is a name and a few numbers. */
const TALK_BYTES = 8 * 1024;
/** How long a refused client may take to hear the reason. */
const TALK_MS = 2_000;

/** Refuses a client with these words. The socket is closed in at most TALK_MS, whatever the client does. */
export function refuse(socket: Socket, reason: string): void {
  const timer = setTimeout(() => socket.destroy(), TALK_MS);
  socket.on('error', () => socket.destroy());
  socket.on('close', () => clearTimeout(timer));
  let unread = Buffer.alloc(0);
  let skipped = false;
  let total = 0;
  socket.on('data', (chunk: Buffer) => {
    total += chunk.length;
    if (total > TALK_BYTES) return socket.destroy();
    unread = Buffer.concat([unread, chunk]);
    if (!skipped && unread.length >= CLIENT_FLAGS_BYTES) {
      unread = unread.subarray(CLIENT_FLAGS_BYTES);
      skipped = true;
    }
    while (skipped && unread.length >= OPTION_HEAD_BYTES) {
      const option = unread.readUInt32BE(8);
      const end = OPTION_HEAD_BYTES + unread.readUInt32BE(12);
      if (unread.length < end) return;
      unread = unread.subarray(end);
      if (option === ABORT) return socket.destroy();
      socket.write(refusal(option, reason));
    }
  });
  socket.write(GREETING);
  socket.resume();
}

function refusal(option: number, reason: string): Buffer {
  const text = Buffer.from(reason, 'utf8');
  const head = Buffer.alloc(20);
  head.writeBigUInt64BE(REPLY_MAGIC, 0);
  head.writeUInt32BE(option, 8);
  head.writeUInt32BE(FORBIDDEN_BY_POLICY, 12);
  head.writeUInt32BE(text.length, 16);
  return Buffer.concat([head, text]);
}
