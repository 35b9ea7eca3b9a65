/** The little of the MySQL client/server protocol that the fault proxy needs. */
const HEADER = 4;
const COM_QUERY = 3;

/**
 * Cuts the stream of a client into its packets (three bytes of length, one of sequence, then so many bytes).
 */
export class Frames {
  private rest: Buffer = Buffer.alloc(0);

  push(chunk: Buffer): Buffer[] {
    this.rest = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
    const whole: Buffer[] = [];
    while (this.rest.length >= HEADER) {
      const end = HEADER + this.rest.readUIntLE(0, 3);
      if (this.rest.length < end) break;
      whole.push(this.rest.subarray(0, end));
      this.rest = this.rest.subarray(end);
    }
    return whole;
  }
}

/**
 * The SQL of a query packet, null for every other packet. A command is always the first packet of its
 * exchange.
 */
export function textOfQuery(frame: Buffer): string | null {
  if (frame.length <= HEADER || frame[3] !== 0 || frame[HEADER] !== COM_QUERY) return null;
  return frame.subarray(HEADER + 1).toString('utf8');
}

export function queryFrame(text: string): Buffer {
  return framed(0, Buffer.concat([Buffer.from([COM_QUERY]), Buffer.from(text, 'utf8')]));
}

/** An error that a server answers with. */
export interface Refusal {
  readonly number: number;
  /** SQLSTATE, five characters. */
  readonly state: string;
  readonly text: string;
}

/** The error instead of the greeting: it has no SQL state yet. */
export function refusalAtGreeting({ number, text }: Refusal): Buffer {
  return framed(0, Buffer.concat([errorHead(number), Buffer.from(text, 'utf8')]));
}

/** The error as the answer to a query. */
export function refusalOfQuery({ number, state, text }: Refusal): Buffer {
  return framed(1, Buffer.concat([errorHead(number), Buffer.from(`#${state}${text}`, 'utf8')]));
}

function errorHead(number: number): Buffer {
  const head = Buffer.alloc(3);
  head.writeUInt8(0xff);
  head.writeUInt16LE(number, 1);
  return head;
}

function framed(sequence: number, body: Buffer): Buffer {
  const header = Buffer.alloc(HEADER);
  header.writeUIntLE(body.length, 0, 3);
  header.writeUInt8(sequence, 3);
  return Buffer.concat([header, body]);
}
