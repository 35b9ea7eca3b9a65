import { randomBytes } from 'node:crypto';
import type { LiveClient } from '~/lab/exports/live-client';
import { check, type Scenario } from '../scenario';
import { PATTERN_BYTES, PATTERN_OFFSET } from '../world';

const BLOCK_BYTES = 64 * 1024;
/** The copies stay in front of what `World.write` has left. */
const COPIED_BYTES = 16 * BLOCK_BYTES;

/** Writes and reads back, block after block, until it is stopped. */
class Copy {
  blocks = 0;
  complaint: string | null = null;
  private stopping = false;
  private readonly work: Promise<void>;

  constructor(private readonly client: LiveClient) {
    this.work = this.run().catch((error: unknown) => {
      this.complaint = String(error);
    });
  }

  async stop(): Promise<void> {
    this.stopping = true;
    await this.work;
  }

  private async run(): Promise<void> {
    for (let at = 0; !this.stopping; at = (at + BLOCK_BYTES) % COPIED_BYTES) {
      const data = randomBytes(BLOCK_BYTES);
      await this.client.write(at, data);
      if (!(await this.client.read(at, BLOCK_BYTES)).equals(data)) throw new Error('WRONG DISK: other data');
      this.blocks += 1;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

export const sessions: Scenario = {
  name: 'sessions',
  story:
    'the package installed again, daemon and holder restarted under copies: none cut; a disk pulled under a session: errors, never another disk',
  machines: ['pc'],
  async run(world) {
    const { agent } = world.machine;
    const [copied = '', pulled = '', next = ''] = await world.createMany(3);
    for (const id of [copied, pulled]) await world.attach(id);
    await world.verifyAll([copied, pulled]);
    const clients = [await world.connect(copied), await world.connect(pulled)];
    const copies = clients.map((client) => new Copy(client));

    const blocks: string[] = [];
    for (const [what, command] of [
      ['installed again', 'dpkg -i /root/volume-daemon.deb 2>&1'],
      ['daemon restarted', 'systemctl restart volume-daemon'],
      ['holder restarted', 'systemctl restart volume-daemon-nbd.service'],
      ['holder killed', 'systemctl kill -s KILL --kill-whom=main volume-daemon-nbd.service'],
    ] as const) {
      const before = copies.map((copy) => copy.blocks);
      await agent.run(command);
      await world.ready();
      await world.until(`both copies go on (${what})`, async () =>
        copies.every((copy, n) => copy.complaint !== null || copy.blocks > (before[n] ?? 0) + 4),
      );
      for (const { complaint } of copies) check(complaint === null, `${what}: a copy was cut: ${complaint}`);
      // Whoever connects now gets in as well.
      await world.verify(copied, { over: 'export' });
      blocks.push(`${what}: ${copies.map((copy, n) => copy.blocks - (before[n] ?? 0)).join(' and ')} blocks`);
    }
    for (const copy of copies) await copy.stop();

    const [, session] = clients;
    check(session !== undefined, 'there is no session');
    await world.cloud.model.makePhantom(pulled);
    await world.until('the session gets errors', () => fails(session));
    // The next disk has the letter that is free now.
    await world.attach(next);
    await world.verifyAll([next, copied]);
    const data = await session.read(PATTERN_OFFSET, PATTERN_BYTES).catch(() => null);
    check(data === null, 'WRONG DISK: a session whose disk was pulled reads again');
    await clients[0]?.close();
    return blocks.join(', ');
  },
};

function fails(session: LiveClient): Promise<boolean> {
  // A block that nobody has read: what is in the page cache says nothing of the disk.
  return session.read(64 * BLOCK_BYTES, BLOCK_BYTES).then(
    () => false,
    () => true,
  );
}
