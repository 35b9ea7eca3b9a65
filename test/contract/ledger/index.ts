import { describe } from 'vitest';
import { describeAccepting } from './accepting';
import { describeAppending } from './appending';
import { describeCancelling } from './cancelling';
import { describeClaiming } from './claiming';
import { describeCountsAndPruning } from './counts-and-pruning';
import { describeHolding } from './holding';
import { LedgerSuite, type LedgerWorld } from './ledger-suite';
import { describeMappingsAndExports } from './mappings-and-exports';
import { describeOneWriter } from './one-writer';
import { describeOpenJobs } from './open-jobs';
import { describeReading } from './reading';

/** What every Ledger must do. */
export function describeLedger(name: string, createWorld: () => Promise<LedgerWorld>): void {
  describe(`ledger contract: ${name}`, () => {
    const suite = new LedgerSuite(createWorld);
    describeAccepting(suite);
    describeClaiming(suite);
    describeOneWriter(suite);
    describeAppending(suite);
    describeCancelling(suite);
    describeOpenJobs(suite);
    describeHolding(suite);
    describeMappingsAndExports(suite);
    describeReading(suite);
    describeCountsAndPruning(suite);
  });
}
