import { describe, expect, it } from 'vitest';
import { MemoryLedger } from '~/lab/ledger/memory-ledger';
import { systemRandom } from '~/server/core/clock';
import { ClockSteps } from '~/server/core/clock-steps';
import { TurnGate } from '~/server/core/concurrency/turn-gate';
import { DaemonError } from '~/server/core/errors';
import { silentLogger } from '~/server/core/log/logger';
import { OperationEvents } from '~/server/model/operation-events';
import { OperationService } from '~/server/operations/operation-service';
import { warningsOf } from '~/test/support/warnings';

const APPLIANCE = 'appliance';
const VOLUME = '11111111-2222-4333-8444-555555555555';

/** A service on a ledger that another process writes; `onSleep` is what happens in every pause. */
async function waiting(
  isOwner: () => boolean,
  onSleep: (nth: number) => Promise<void>,
  applianceId = APPLIANCE,
) {
  let nowMs = 1_000_000;
  let sleeps = 0;
  const clock = {
    now: () => nowMs,
    monotonic: () => nowMs,
    sleep: async (ms: number) => {
      nowMs += ms;
      sleeps += 1;
      await onSleep(sleeps);
    },
  };
  const ledger = new MemoryLedger({ now: clock.now, random: systemRandom });
  const epoch = await ledger.takeOver(APPLIANCE, 'the other daemon', { seen: null, instance: '' });
  const { operation } = await ledger.accept(epoch, {
    id: systemRandom.uuid(),
    type: 'detach',
    volumeId: VOLUME,
    vmId: null,
    request: { volume_id: VOLUME },
    idempotencyKey: null,
    requestHash: 'a'.repeat(64),
    at: nowMs,
  });
  await ledger.claim(epoch, 1);
  const end = () =>
    ledger.append(epoch, operation.id, {
      after: 2,
      at: nowMs,
      entries: [],
      end: { status: 'completed', response: null, error: null, errorCode: null },
    });
  const service = new OperationService({
    ledger,
    events: new OperationEvents(),
    clock,
    turns: new TurnGate(clock),
    clockSteps: new ClockSteps(clock),
    random: systemRandom,
    logger: silentLogger,
    stopping: new AbortController().signal,
    writer: () => {
      throw new DaemonError('STANDBY', 'another daemon owns this appliance');
    },
    isOwner,
    heldOn: () => null,
    runningOn: () => null,
    refusedOn: () => null,
    whyUnwritten: () => null,
    applianceId: () => applianceId,
    admit: () => {},
  });
  const begunMs = nowMs;
  return { end, wait: () => service.waitForEnd(operation.id, 20_000), tookMs: () => nowMs - begunMs };
}

describe('waiting for an operation that another daemon runs', () => {
  it('a daemon that stands by answers soon after the end, not when the time is over', async () => {
    const world = await waiting(
      () => false,
      async (nth) => {
        if (nth === 3) await world.end();
      },
    );
    expect((await world.wait()).status).toBe('completed');
    expect(world.tookMs()).toBeLessThan(5_000);
  });

  it('so does one that loses the ownership while it waits', async () => {
    let isOwner = true;
    const world = await waiting(
      () => isOwner,
      async (nth) => {
        if (nth === 2) isOwner = false;
        if (nth === 3) await world.end();
      },
    );
    expect((await world.wait()).status).toBe('completed');
    expect(world.tookMs()).toBeLessThan(5_000);
  });

  it('so does the owner of another appliance, which hears only of its own operations', async () => {
    const world = await waiting(
      () => true,
      async (nth) => {
        if (nth === 3) await world.end();
      },
      'another appliance',
    );
    expect((await world.wait()).status).toBe('completed');
    expect(world.tookMs()).toBeLessThan(5_000);
  });

  it('what has not ended is answered as it is when the time is over', async () => {
    const world = await waiting(
      () => false,
      async () => {},
    );
    expect((await world.wait()).status).toBe('executing');
    expect(world.tookMs()).toBe(20_000);
  });
});

it('many callers who wait at once are no leak that Node would warn of', async () => {
  let open = () => {};
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const world = await waiting(
    () => false,
    async (nth) => {
      if (nth === 32) {
        await world.end();
        open();
      }
      await gate;
    },
  );
  const warnings = await warningsOf(async () => {
    const ended = await Promise.all(Array.from({ length: 32 }, () => world.wait()));
    expect(ended.map(({ status }) => status)).toEqual(ended.map(() => 'completed'));
  });
  expect(warnings).toEqual([]);
});
