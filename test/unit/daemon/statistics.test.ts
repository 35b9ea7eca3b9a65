import { describe, expect, it } from 'vitest';
import { Statistics } from '~/server/daemon/metrics/statistics';
import type { Ledger, OperationCounts } from '~/server/model/ledger';
import { OperationEvents } from '~/server/model/operation-events';

const statisticsOn = (ledger: Pick<Ledger, 'counts'>, events: OperationEvents, isOwner: () => boolean) =>
  new Statistics(
    () => ledger as Ledger,
    () => undefined,
    events,
    isOwner,
  );
const countsOf = (activeMappings: number) =>
  ({ activeMappings, byStatus: { pending: activeMappings } }) as OperationCounts;

describe('the counts of operations', () => {
  it('are those of now: a read that began before the last event is neither told nor kept', async () => {
    const reads: ((counts: OperationCounts) => void)[] = [];
    const ledger = { counts: () => new Promise<OperationCounts>((resolve) => reads.push(resolve)) };
    const events = new OperationEvents();
    const statistics = statisticsOn(ledger, events, () => true);
    const before = statistics.counts();
    events.publish([
      { id: 1, operationId: 'one', sequence: 1, step: 'operation', state: 'completed', data: {}, at: 0 },
    ]);
    const after = statistics.counts();
    expect(reads).toHaveLength(2);
    reads[1]?.(countsOf(2));
    reads[0]?.(countsOf(1));
    expect((await before).activeMappings).toBe(1);
    expect((await after).activeMappings).toBe(2);
    expect((await statistics.counts()).activeMappings).toBe(2);
    expect(reads).toHaveLength(2);
  });

  it('are read anew while another process owns the appliance: nothing of what it does is heard of', async () => {
    let operations = 0;
    let isOwner = true;
    const ledger = { counts: async () => countsOf(operations) };
    const statistics = statisticsOn(ledger, new OperationEvents(), () => isOwner);
    expect((await statistics.counts()).activeMappings).toBe(0);
    isOwner = false;
    for (operations of [1, 2]) expect((await statistics.counts()).activeMappings).toBe(operations);
    operations = 3;
    expect(statistics.pending()).toBe(2);
    await statistics.counts();
    expect(statistics.pending()).toBe(3);
  });
});
