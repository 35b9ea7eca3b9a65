import { z } from 'zod';
import { readIfThere, writeDurably } from '../core/durable-files';
import { messageOf } from '../core/errors';
import type { Logger } from '../core/log/logger';
import type { LastWritten } from '../model/lease';

/**
 * Keeps, outside of the database, how far the database had come: how a daemon notices one that is restored.
 */
export interface LastWrittenStore {
  /** Null when nothing is known of this appliance. Never throws. */
  load(applianceId: string): Promise<LastWritten | null>;
  /** May be lost: what is kept is then too old, and proves less. Never throws. */
  save(applianceId: string, written: LastWritten): Promise<void>;
}

/** One that tells whether it does its work. */
export interface LastWrittenFile extends LastWrittenStore {
  /** Why the last save failed; null: it did not. */
  readonly trouble: string | null;
}

const fileSchema = z.object({
  appliance: z.string().max(64),
  epoch: z.number().int().nonnegative(),
  renewals: z.number().int().nonnegative(),
});

/** A small file in the state folder. One that cannot be read counts as none, and the log says so. */
export function createLastWrittenFile(path: string, logger: Logger): LastWrittenFile {
  let trouble: string | null = null;
  return {
    get trouble() {
      return trouble;
    },
    load: async (applianceId) => {
      try {
        const text = await readIfThere(path);
        if (text === null) return null;
        const { appliance, ...written } = fileSchema.parse(JSON.parse(text));
        return appliance === applianceId ? written : null;
      } catch (error) {
        logger.warn('How far the database had come cannot be read: a restored one is not noticed', {
          path,
          reason: messageOf(error),
        });
        return null;
      }
    },
    save: async (applianceId, { epoch, renewals }) => {
      try {
        await writeDurably(path, `${JSON.stringify({ appliance: applianceId, epoch, renewals })}\n`);
        trouble = null;
      } catch (error) {
        const reason = messageOf(error);
        if (trouble === null)
          logger.warn(
            'How far the database has come is not noted: after a crash a restored one is not noticed',
            { path, reason },
          );
        trouble = reason;
      }
    },
  };
}
