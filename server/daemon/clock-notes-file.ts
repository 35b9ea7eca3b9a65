import { readFileSync } from 'node:fs';
import { z } from 'zod';
import type { ClockNotes } from '../core/clock-steps';
import { writeDurably } from '../core/durable-files';
import { messageOf } from '../core/errors';
import type { Logger } from '../core/log/logger';

interface Machine {
  /** null: it is not known, and nothing is kept. */
  readonly bootId: string | null;
  /** ms since boot. */
  uptime(): number;
}

const fileSchema = z.object({
  boot_id: z.string().max(64),
  offset_ms: z.number(),
  stepped_at_ms: z.number().nullable(),
});

/**
 * A small file in the state folder. One of another boot, where time since boot began anew, counts as none,
 * and so does one that cannot be read.
 */
export function createClockNotesFile(path: string, { bootId, uptime }: Machine, logger: Logger): ClockNotes {
  let saving = Promise.resolve();
  let isTold = false;
  return {
    uptime,
    load: () => {
      try {
        const note = fileSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
        if (note.boot_id !== bootId) return null;
        return { offsetMs: note.offset_ms, steppedAtMs: note.stepped_at_ms };
      } catch {
        return null;
      }
    },
    save: ({ offsetMs, steppedAtMs }) => {
      if (bootId === null) return;
      const content = { boot_id: bootId, offset_ms: offsetMs, stepped_at_ms: steppedAtMs };
      const write = () => writeDurably(path, `${JSON.stringify(content)}\n`);
      saving = saving.then(write).catch((error: unknown) => {
        if (isTold) return;
        isTold = true;
        logger.warn('How the clock stands is not noted: a step right before the next start is not noticed', {
          path,
          reason: messageOf(error),
        });
      });
    },
  };
}
