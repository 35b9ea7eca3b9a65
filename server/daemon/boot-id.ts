import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Names this boot of the machine; null when it does not let us know. Never throws. */
export function readBootId(procDir: string): string | null {
  try {
    const bootId = readFileSync(join(procDir, 'sys/kernel/random/boot_id'), 'utf8').trim();
    return bootId === '' ? null : bootId;
  } catch {
    return null;
  }
}
