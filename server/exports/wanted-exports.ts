import { unhealthy } from './export-errors';
import type { ExportTarget } from './export-server';

/**
 * What each name should be now: withdrawing, or publishing for another disk, overtakes a publish under way.
 * Publishing the same again joins it.
 */
export class WantedExports {
  private readonly byName = new Map<string, ExportTarget>();

  /** The returned target stands for this wish in the calls below. */
  want(target: ExportTarget): ExportTarget {
    const before = this.byName.get(target.name);
    const isSame =
      before?.devicePath === target.devicePath &&
      before.size === target.size &&
      before.dev === target.dev &&
      (before.readOnly ?? false) === (target.readOnly ?? false) &&
      before.diskseq === target.diskseq;
    const mine = isSame ? before : { ...target };
    this.byName.set(target.name, mine);
    return mine;
  }

  /** What was last published under this name by this process and not withdrawn, or null. */
  current(name: string): ExportTarget | null {
    return this.byName.get(name) ?? null;
  }

  withdraw(name: string): void {
    this.byName.delete(name);
  }

  /** Ends a wish that could not be met; false when another one has overtaken it. */
  giveUp(target: ExportTarget): boolean {
    return this.current(target.name) === target && this.byName.delete(target.name);
  }

  /**
   * Throws EXPORT_SERVER_UNHEALTHY when the export was withdrawn, or published for another disk, meanwhile.
   */
  assertCurrent(target: ExportTarget): void {
    if (this.current(target.name) !== target)
      throw unhealthy(`export ${target.name} was withdrawn while it was being published`);
  }
}
