import { execFile } from 'node:child_process';
import { open } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { backOffMs } from '../../core/back-off';
import type { Clock } from '../../core/clock';
import { Semaphore } from '../../core/concurrency/semaphore';
import { hasCode } from '../../core/has-code';
import { LIMITS } from '../../core/limits';
import type { Device } from '../device';
import { deviceName, unitSerial } from './vpd';

export type SerialAnswer = Pick<Device, 'serial' | 'serialState'>;

/** Reads a small file that may block as long as its disk is dying. Rejects with an ErrnoException. */
type ReadSerialFile = (path: string) => Promise<Buffer>;

interface Reading extends SerialAnswer {
  /** There is no such file. */
  readonly isMissing?: true;
}

interface Circumstances {
  readonly comesLate?: boolean;
  readonly isStill?: () => boolean;
}

interface Known extends SerialAnswer {
  /** Monotonic ms of the next try of an unreadable one. */
  readonly retryAt: number;
  readonly failures: number;
  /** A read is under way or waits for its turn. */
  readonly busy: boolean;
  /** Monotonic ms until which a missing file proves nothing: the kernel may still make it. */
  readonly mayComeUntil: number;
}

const PENDING = { serial: null, serialState: 'pending', retryAt: 0, failures: 0, busy: true } as const;
const always = () => true;
const BACK_OFF = { baseMs: LIMITS.RETRY_BASE_MS, capMs: LIMITS.SERIAL_RETRY_CAP_MS };

/**
 * Reads serials in the background, because that is I/O to the disk itself and blocks on a dying one. Each
 * plug is read once, a few at a time, with a timeout; failures are retried with a growing pause. A look never
 * waits for it.
 */
export class SerialReader {
  private readonly known = new Map<string, Known>();
  private readonly slots = new Semaphore(LIMITS.SERIAL_READS_AT_ONCE);
  /** Reads that wait for a slot or are under way, and of those the ones under way. */
  private outstanding = 0;
  private active = 0;
  /** Reads that timed out and still occupy a thread or a child. */
  private stuck = 0;
  private quiet: (() => void)[] = [];

  constructor(
    private readonly clock: Clock,
    /** Called when a serial has become known after the look that asked for it. */
    private readonly onKnown: () => void,
    private readonly readHere: ReadSerialFile = readSmallFile,
    private readonly readElsewhere: ReadSerialFile = readByChild,
  ) {}

  /**
   * What is known of the plug; starts the first read, or the next try of a failed one. `comesLate`:
   * every disk of this kind has the file, some time after the disk itself is shown. `isStill`: is the
   * plug still the one with this name? A read may wait for its turn, and what it finds then is the
   * serial of another disk.
   */
  ask(key: string, path: string, { comesLate = false, isStill = always }: Circumstances = {}): SerialAnswer {
    const known = this.known.get(key);
    const now = this.clock.monotonic();
    if (!known) {
      this.known.set(key, { ...PENDING, mayComeUntil: comesLate ? now + LIMITS.SERIAL_FILE_LATE_MS : now });
      void this.readInTurn(key, path, isStill);
      return PENDING;
    }
    const isOpen = known.serialState === 'unreadable' || known.serialState === 'pending';
    if (isOpen && !known.busy && now >= known.retryAt) {
      // It stays as it is meanwhile: `pending` is said of a new plug only (diffSnapshots relies on that).
      this.known.set(key, { ...known, busy: true });
      void this.readInTurn(key, path, isStill);
    }
    return known;
  }

  /** Forgets plugs that are gone; the result of a read still in flight is ignored. */
  keepOnly(keys: ReadonlySet<string>): void {
    for (const key of this.known.keys()) if (!keys.has(key)) this.known.delete(key);
  }

  /** Resolves when nothing is being read any more, or after `timeoutMs`. */
  async settle(timeoutMs: number): Promise<void> {
    if (this.outstanding === 0) return;
    const done = new AbortController();
    this.quiet.push(() => done.abort());
    await this.clock.sleep(timeoutMs, done.signal);
  }

  private async readInTurn(key: string, path: string, isStill: () => boolean): Promise<void> {
    this.outstanding += 1;
    await this.slots.use(async () => {
      if (!this.known.has(key)) return;
      this.active += 1;
      const answer = await this.read(path);
      this.active -= 1;
      this.note(key, isStill() ? answer : null);
    });
    this.outstanding -= 1;
    if (this.outstanding > 0) return;
    for (const wake of this.quiet.splice(0)) wake();
  }

  /** `null`: nothing was found out. */
  private note(key: string, reading: Reading | null): void {
    const known = this.known.get(key);
    if (!known) return;
    const now = this.clock.monotonic();
    const { mayComeUntil } = known;
    if (reading === null || (reading.isMissing && now < mayComeUntil)) {
      this.known.set(key, { ...known, retryAt: now, busy: false });
      return;
    }
    const { isMissing: _, ...answer } = reading;
    const failures = answer.serialState === 'unreadable' ? known.failures + 1 : 0;
    this.known.set(key, {
      ...answer,
      failures,
      retryAt: now + backOffMs(BACK_OFF, failures),
      busy: false,
      mayComeUntil,
    });
    if (answer.serialState !== known.serialState) this.onKnown();
  }

  /**
   * One read within LIMITS.SERIAL_READ_TIMEOUT_MS. Node has four threads for files: once two may be stuck, a
   * child process reads instead. Beyond LIMITS.SERIAL_STUCK_MAX nothing is read until one comes back.
   */
  private async read(path: string): Promise<Reading> {
    if (this.stuck >= LIMITS.SERIAL_STUCK_MAX) return { serial: null, serialState: 'unreadable' };
    const done = new AbortController();
    const late = this.clock.sleep(LIMITS.SERIAL_READ_TIMEOUT_MS, done.signal).then(() => 'late' as const);
    const threads = this.stuck + this.active;
    const reader = threads > LIMITS.SERIAL_READS_AT_ONCE ? this.readElsewhere : this.readHere;
    const bytes = readAll(reader, path);
    const first = await Promise.race([bytes, late]);
    done.abort();
    if (first !== 'late') return first;
    this.stuck += 1;
    void bytes.then(() => {
      this.stuck -= 1;
    });
    return { serial: null, serialState: 'unreadable' };
  }
}

/** The name of the file says its format. A SCSI disk without page 0x80 may have its serial in page 0x83. */
async function readAll(reader: ReadSerialFile, path: string): Promise<Reading> {
  switch (basename(path)) {
    case 'vpd_pg80': {
      const unit = await reader(path).then((page) => answerOfText(unitSerial(page)), answerOfError);
      if (unit.serialState !== 'absent') return unit;
      return reader(join(dirname(path), 'vpd_pg83')).then(
        (page) => answerOfText(deviceName(page)),
        answerOfError,
      );
    }
    default:
      return reader(path).then(answerOf, answerOfError);
  }
}

/** virtio: at most 20 bytes, not terminated when full, padded with NULs or blanks when shorter. */
export function answerOf(bytes: Buffer): SerialAnswer {
  const text = bytes.toString('latin1');
  const end = text.indexOf('\0');
  return answerOfText((end === -1 ? text : text.slice(0, end)).trim());
}

/** A SCSI disk may show 252 characters: more than a mapping holds, and than identify a disk. */
function answerOfText(text: string | null): SerialAnswer {
  const serial = text?.slice(0, LIMITS.SERIAL_CHARACTERS).trim();
  return serial ? { serial, serialState: 'read' } : { serial: null, serialState: 'absent' };
}

function answerOfError(error: unknown): Reading {
  // No serial file at all is a fact (a driver without one); anything else is a device in trouble.
  if (hasCode(error, 'ENOENT')) return { serial: null, serialState: 'absent', isMissing: true };
  return { serial: null, serialState: 'unreadable' };
}

async function readSmallFile(path: string): Promise<Buffer> {
  const file = await open(path, 'r');
  try {
    const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(LIMITS.SYSFS_FILE_BYTES) });
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

function readByChild(path: string): Promise<Buffer> {
  const bytes = String(LIMITS.SYSFS_FILE_BYTES);
  return new Promise((resolve, reject) => {
    execFile(
      'head',
      ['-c', bytes, '--', path],
      { encoding: 'buffer', timeout: LIMITS.SERIAL_READ_TIMEOUT_MS },
      (error, out) => (error ? reject(error) : resolve(out)),
    );
  });
}
