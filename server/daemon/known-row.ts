import { LIMITS } from '../core/limits';
import { isOlderThan, type LastWritten } from '../model/lease';
import type { LastWrittenStore } from './last-written-file';

/**
 * How far the row of the appliance is known to have come: by the state folder, and by what this process has
 * seen and written. A row that is behind comes from an older copy of the database: operations that have ended
 * since then have not ended in it, and would be done once more.
 */
export class KnownRow {
  /** undefined: the state folder was not asked yet. */
  private known: LastWritten | null | undefined;
  private saving: Promise<void> | null = null;

  /** @param store absent: only what this process has seen itself counts */
  constructor(private readonly store: LastWrittenStore | undefined) {}

  /** Whether this row is behind what is known; else it is what is known from now on. */
  async isOlder(applianceId: string, { epoch, renewals }: LastWritten): Promise<boolean> {
    if (this.known === undefined) this.known = (await this.store?.load(applianceId)) ?? null;
    if (this.known !== null && isOlderThan({ epoch, renewals }, this.known)) return true;
    this.known = { epoch, renewals };
    return false;
  }

  /** This process has written the row. */
  written(applianceId: string, row: LastWritten): void {
    this.known = row;
    if (row.renewals % LIMITS.RENEWALS_PER_NOTE !== 0) return;
    this.saving ??= this.save(applianceId).finally(() => {
      this.saving = null;
    });
  }

  /** After one that is under way: of two at once the older could be the one that stays. */
  async saveLast(applianceId: string): Promise<void> {
    await this.saving;
    await this.save(applianceId);
  }

  private async save(applianceId: string): Promise<void> {
    if (this.known) await this.store?.save(applianceId, this.known);
  }
}
