import { link, open, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LiveClient } from '~/lab/exports/live-client';
import type { ExportServer, ExportTarget } from '~/server/exports/export-server';
import { exportName } from '~/server/model/export-name';

const MIB = 1024 ** 2;
const BLOCK = 4096;
const VOLUMES = 9;
const BUSY = 3;
const LETTERS = [...'bcdefghijklmno'].map((letter) => `vd${letter}`);

export interface ChangeSetOptions {
  readonly dir: string;
  readonly devDir: string;
  readonly sets: number;
  readonly seed: number;
  /** A new one is the daemon after a restart. */
  readonly create: () => ExportServer;
}

export interface Figures {
  sets: number;
  changes: number;
  /** Changes that were refused although nothing stood against them. */
  failedChanges: string[];
  exportsChecked: number;
  absencesChecked: number;
  /** Exports that did not answer, and whose failure the daemon's own probe told. */
  reportedUnhealthy: number;
  /** Wrong size or content behind a name, or a failure that the daemon's own probe did not see. */
  silentBreakages: string[];
  /** Names that let somebody in although they were withdrawn. */
  leaks: string[];
  /** Live sessions that ended although nobody asked for it. */
  sessionsCut: string[];
  liveRequests: number;
  daemonRestarts: number;
}

interface Volume {
  readonly index: number;
  readonly volumeId: string;
  readonly name: string;
  readonly size: number;
  readonly file: string;
  letter: string | null;
}

/** Random change sets against one real server, with clients that read and write all the time. */
export class ChangeSetRun {
  readonly figures: Figures = {
    sets: 0,
    changes: 0,
    failedChanges: [],
    exportsChecked: 0,
    absencesChecked: 0,
    reportedUnhealthy: 0,
    silentBreakages: [],
    leaks: [],
    sessionsCut: [],
    liveRequests: 0,
    daemonRestarts: 0,
  };
  private server: ExportServer;
  private readonly random: () => number;
  private readonly volumes: Volume[] = [];
  private stopping = false;

  constructor(private readonly options: ChangeSetOptions) {
    this.random = generator(options.seed);
    this.server = options.create();
  }

  async run(): Promise<Figures> {
    for (let index = 0; index < VOLUMES + BUSY; index += 1) await this.addVolume(index);
    const busy = this.volumes.slice(VOLUMES);
    await Promise.all(busy.map((volume) => this.attach(volume)));
    const live = await Promise.all(busy.map((volume) => LiveClient.open(this.server.port, volume.name)));
    const work = live.map((client, index) => this.keepBusy(client, busy[index]?.name ?? ''));
    for (let set = 0; set < this.options.sets; set += 1) {
      await this.change();
      await this.check();
      this.figures.sets += 1;
    }
    this.stopping = true;
    await Promise.all(work);
    await this.server.close();
    return this.figures;
  }

  private async addVolume(index: number): Promise<void> {
    const volumeId = `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`;
    const size = (1 + (index % 3)) * MIB;
    const file = join(this.options.dir, `volume-${index}`);
    // The first half belongs to the checks, the second one to the clients that write.
    await writeFile(file, Buffer.alloc(size, index + 1));
    this.volumes.push({ index, volumeId, name: exportName(volumeId), size, file, letter: null });
  }

  /** Some changes at once, each of another volume. Rarely the daemon is restarted before. */
  private async change(): Promise<void> {
    if (this.random() < 0.1) {
      await this.server.close();
      this.server = this.options.create();
      this.figures.daemonRestarts += 1;
    }
    const some = this.volumes.slice(0, VOLUMES).filter(() => this.random() < 0.4);
    await Promise.all(
      some.map(async (volume) => {
        this.figures.changes += 1;
        try {
          await this.changeOne(volume);
        } catch (error) {
          this.figures.failedChanges.push(`${volume.name}: ${String(error)}`);
        }
      }),
    );
  }

  private async changeOne(volume: Volume): Promise<void> {
    if (volume.letter === null) return this.attach(volume);
    const kind = this.random();
    if (kind < 0.15) return this.server.publish(this.target(volume));
    if (kind < 0.35) {
      // The disk disappears first, without an operation.
      await this.unplug(volume);
      return this.server.withdraw(volume.name);
    }
    await this.server.withdraw(volume.name);
    await this.unplug(volume);
    // Back at once, with another letter.
    if (kind < 0.7) await this.attach(volume);
  }

  private async attach(volume: Volume): Promise<void> {
    const taken = new Set(this.volumes.map(({ letter }) => letter));
    const free = LETTERS.filter((letter) => !taken.has(letter));
    const letter = free[Math.floor(this.random() * free.length)];
    if (letter === undefined) throw new Error('no letter is free');
    volume.letter = letter;
    await link(volume.file, join(this.options.devDir, letter));
    await this.server.publish(this.target(volume));
  }

  private async unplug(volume: Volume): Promise<void> {
    if (volume.letter !== null) await rm(join(this.options.devDir, volume.letter));
    volume.letter = null;
  }

  private target(volume: Volume): ExportTarget {
    const { name, volumeId, size, letter } = volume;
    return {
      name,
      volumeId,
      devicePath: join(this.options.devDir, letter ?? ''),
      size,
      dev: null,
      diskseq: null,
    };
  }

  private async check(): Promise<void> {
    for (const volume of this.volumes.slice(0, VOLUMES)) {
      if (volume.letter === null) await this.checkAbsent(volume);
      else await this.checkThere(volume);
    }
    const listed = new Set(
      (await this.server.list()).filter(({ target }) => target !== null).map(({ name }) => name),
    );
    for (const volume of this.volumes)
      if (listed.has(volume.name) !== (volume.letter !== null))
        this.figures.silentBreakages.push(`${volume.name} is ${listed.has(volume.name) ? '' : 'not '}listed`);
  }

  private async checkThere(volume: Volume): Promise<void> {
    this.figures.exportsChecked += 1;
    const complaint = await this.look(volume);
    if (complaint === null) return;
    const probe = await this.server.probe(volume.name);
    if (probe.ok) this.figures.silentBreakages.push(`${volume.name}: ${complaint}`);
    else this.figures.reportedUnhealthy += 1;
  }

  /** As an independent client: is the disk behind the name the one of the volume, read and written? */
  private async look(volume: Volume): Promise<string | null> {
    try {
      const client = await LiveClient.open(this.server.port, volume.name);
      const seen = await client.read(Math.floor((this.random() * volume.size) / 2 / BLOCK) * BLOCK, BLOCK);
      const mark = Buffer.alloc(BLOCK, Math.floor(this.random() * 256));
      const at = volume.size / 2;
      await client.write(at, mark);
      await client.close();
      if (client.size !== volume.size) return `${client.size} bytes instead of ${volume.size}`;
      if (!seen.equals(Buffer.alloc(BLOCK, volume.index + 1))) return 'the content of another disk';
      return (await blockOf(volume.file, at)).equals(mark) ? null : 'what was written went to another disk';
    } catch (error) {
      return String(error);
    }
  }

  private async checkAbsent(volume: Volume): Promise<void> {
    this.figures.absencesChecked += 1;
    try {
      const client = await LiveClient.open(this.server.port, volume.name);
      await client.close();
      this.figures.leaks.push(volume.name);
    } catch {
      // Nobody is let in: right.
    }
  }

  /** Writes and reads back until the end; every failure is a session that was cut. */
  private async keepBusy(client: LiveClient, name: string): Promise<void> {
    const random = generator(this.options.seed + 1);
    try {
      while (!this.stopping) {
        const at = Math.floor((random() * client.size) / BLOCK) * BLOCK;
        const data = Buffer.alloc(BLOCK, Math.floor(random() * 256));
        await client.write(at, data);
        if (!(await client.read(at, BLOCK)).equals(data))
          this.figures.silentBreakages.push(`${name}: the live client read something else than it wrote`);
        this.figures.liveRequests += 2;
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
      await client.close();
    } catch (error) {
      this.figures.sessionsCut.push(`${name}: ${String(error)}`);
    }
  }
}

async function blockOf(file: string, at: number): Promise<Buffer> {
  const handle = await open(file, 'r');
  try {
    const { buffer } = await handle.read(Buffer.alloc(BLOCK), 0, BLOCK, at);
    return buffer;
  } finally {
    await handle.close();
  }
}

/** mulberry32: the same seed gives the same run. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let value = Math.imul(state ^ (state >>> 15), state | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
}
