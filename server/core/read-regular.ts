import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';

/**
 * The text of a small file that an operator writes. Opened without waiting: a pipe in its place must not hold
 * the daemon. Throws what the system says, and when it is no file or longer than `maxBytes`.
 */
export function readRegular(path: string, maxBytes: number): string {
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const status = fstatSync(file);
    if (!status.isFile()) throw new Error(`${path} is not a file`);
    if (status.size > maxBytes) throw new Error(`${path} is longer than ${maxBytes} bytes`);
    const buffer = Buffer.alloc(maxBytes);
    return buffer.toString('utf8', 0, readSync(file, buffer, 0, buffer.length, 0));
  } finally {
    closeSync(file);
  }
}
