import { readFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { LIMITS } from '../../core/limits';

interface OpenFile {
  readonly bytes: Promise<Buffer>;
  readers: number;
}

/**
 * Files that are being sent: each is in memory once, however many clients take it and however slowly, and
 * only while one of them does. What is written to their connections are views of the same bytes, a chunk at a
 * time, and a few chunks in a turn of the event loop: nine hundred clients that begin together cost the
 * others neither memory nor their turn.
 */
export class SharedFiles {
  private readonly open = new Map<string, OpenFile>();
  private readonly turns = new ChunkTurns();

  /**
   * The content of a file. Its bytes are let go when the stream has been destroyed, which is up to the
   * caller.
   */
  stream(path: string): Readable {
    const file = this.open.get(path) ?? { bytes: readFile(path), readers: 0 };
    file.readers += 1;
    this.open.set(path, file);
    const release = () => {
      file.readers -= 1;
      if (file.readers === 0) this.open.delete(path);
    };
    return new FileStream(file.bytes, this.turns).once('close', release);
  }

  /** Files in memory now. */
  get count(): number {
    return this.open.size;
  }
}

class FileStream extends Readable {
  private sent = 0;

  constructor(
    private readonly bytes: Promise<Buffer>,
    private readonly turns: ChunkTurns,
  ) {
    // One chunk ahead of the connection, which takes what it was given before it asks for more.
    super({ highWaterMark: 1 });
  }

  override _read(): void {
    this.bytes.then(
      (bytes) => this.turns.add(() => this.pushFrom(bytes)),
      (error: unknown) => this.destroy(error instanceof Error ? error : new Error(String(error))),
    );
  }

  private pushFrom(bytes: Buffer): void {
    if (this.destroyed) return;
    const chunk = bytes.subarray(this.sent, this.sent + LIMITS.STATIC_CHUNK_BYTES);
    this.sent += chunk.length;
    this.push(chunk.length === 0 ? null : chunk);
  }
}

/**
 * Runs the work of all streams in the order in which they ask, STATIC_CHUNKS_A_TURN in a turn of the loop.
 */
class ChunkTurns {
  private queue: (() => void)[] = [];
  private planned = false;

  add(work: () => void): void {
    this.queue.push(work);
    this.plan();
  }

  private plan(): void {
    if (this.planned || this.queue.length === 0) return;
    this.planned = true;
    setImmediate(() => {
      this.planned = false;
      for (const work of this.queue.splice(0, LIMITS.STATIC_CHUNKS_A_TURN)) work();
      this.plan();
    });
  }
}
