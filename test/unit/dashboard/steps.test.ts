import { describe, expect, it } from 'vitest';
import { durationText, sizeText } from '~/cli/output/units';
import { runningFor } from '~/dashboard/src/format';
import { stepsOf } from '~/dashboard/src/steps';
import type { JournalEntryReply, OperationReply } from '~/server/http/schemas/operations';

const BEGIN = Date.parse('2025-08-19T20:30:00.000Z');
const at = (ms: number) => new Date(BEGIN + ms).toISOString();

function operation(
  status: OperationReply['status'],
  type: OperationReply['type'] = 'attach',
): OperationReply {
  return {
    id: 'an operation',
    type,
    status,
    volume_id: 'a volume',
    request: {},
    attempt: 0,
    cancel_requested: false,
    created_at: at(0),
    updated_at: at(0),
  };
}

function journal(
  ...entries: [ms: number, step: string, state: JournalEntryReply['state'], data?: Record<string, unknown>][]
): JournalEntryReply[] {
  return entries.map(([ms, step, state, data = {}], index) => ({
    id: index + 1,
    operation_id: 'an operation',
    sequence: index + 1,
    step,
    state,
    data,
    at: at(ms),
  }));
}

const shape = (steps: ReturnType<typeof stepsOf>) =>
  steps.map(({ name, state, beginMs, endMs }) => [
    name,
    state,
    beginMs === null || endMs === null ? null : endMs - beginMs,
  ]);

it('a call that was not sent has failed, unless what it should bring about was there already', () => {
  const call = (data: Record<string, unknown>) =>
    journal([20, 'detach-volume', 'intent'], [30, 'detach-volume', 'refused', data]);
  const state = (data: Record<string, unknown>, status: OperationReply['status'] = 'completed') =>
    stepsOf(operation(status, 'detach'), call(data))[0]?.state;
  expect(state({ settled: true })).toBe('done');
  expect(state({ settled: true }, 'failed')).toBe('failed');
  expect([state({ withheld: 'VOLUME_STATE' }), state({ code: 431 })]).toEqual(['failed', 'failed']);
});

const ATTACH = journal(
  [0, 'operation', 'pending'],
  [10, 'operation', 'executing'],
  [20, 'attach-volume', 'intent'],
  [30, 'attach-volume', 'accepted'],
  [1020, 'attach-volume', 'finished', { outcome: 'ok' }],
  [1100, 'map', 'done', { device_path: '/dev/vdb' }],
  [1150, 'publish', 'done'],
  [1160, 'operation', 'completed'],
);

describe('the journal as steps', () => {
  it('a terminal operation: what it did, with the time of each step', () => {
    const steps = stepsOf(operation('completed'), ATTACH);
    expect(shape(steps)).toEqual([
      ['attach-volume', 'done', 1000],
      ['map', 'done', 80],
      ['publish', 'done', 50],
    ]);
    expect(steps[1]?.note).toBe('vdb');
  });

  it('a running one: what it does now, and what lies ahead', () => {
    expect(shape(stepsOf(operation('executing'), ATTACH.slice(0, 4)))).toEqual([
      ['attach-volume', 'running', null],
      ['map', 'ahead', null],
      ['publish', 'ahead', null],
    ]);
    expect(shape(stepsOf(operation('executing'), ATTACH.slice(0, 5)))).toEqual([
      ['attach-volume', 'done', 1000],
      ['map', 'running', null],
      ['publish', 'ahead', null],
    ]);
  });

  it('the order of entries does not matter', () => {
    expect(stepsOf(operation('completed'), [...ATTACH].reverse())).toEqual(
      stepsOf(operation('completed'), ATTACH),
    );
  });

  it('an entry that the daemon does not understand is a step that says so, also of the status', () => {
    const [status, attach] = journal([5, 'operation', 'note'], [10, 'attach-volume', 'finished']);
    if (!status || !attach) throw new Error('no entries');
    const steps = stepsOf(operation('completed'), [{ ...status, unreadable: 'its state is new' }, attach]);
    expect(steps[0]).toMatchObject({ state: 'failed', note: 'not understood: its state is new' });
  });

  it('one that waits says why; one that has failed leaves nothing running', () => {
    const entries = journal(
      [0, 'operation', 'pending'],
      [5, 'operation', 'executing'],
      [10, 'attach-volume', 'intent'],
      [20, 'attach-volume', 'waiting', { reason: 'CloudStack is away' }],
    );
    expect(stepsOf(operation('executing'), entries)[0]).toMatchObject({
      state: 'waiting',
      note: 'CloudStack is away',
    });
    const ended = journal(
      [0, 'operation', 'pending'],
      [10, 'attach-volume', 'intent'],
      [30, 'operation', 'failed'],
    );
    expect(shape(stepsOf(operation('failed'), ended))).toEqual([['attach-volume', 'failed', 20]]);
  });

  it('knows nothing of an operation whose journal has not come yet', () => {
    expect(stepsOf(operation('executing'), []).every(({ state }) => state === 'ahead')).toBe(true);
    expect(stepsOf(operation('completed'), [])).toEqual([]);
  });
});

it('times and sizes as people read them', () => {
  expect([0, 999, 1000, 59_999, 61_000, 3_600_000, 49 * 3_600_000, -5].map(durationText)).toEqual([
    '0 ms',
    '999 ms',
    '1.0 s',
    '59.9 s',
    '1 min 01 s',
    '1 h 00 min',
    '2 days',
    '0 ms',
  ]);
  expect(runningFor(1999)).toBe('1 s');
  expect([1, 1024, 5 * 1024 ** 3, 1.5 * 1024 ** 4].map(sizeText)).toEqual([
    '1 B',
    '1 KiB',
    '5 GiB',
    '1.5 TiB',
  ]);
});
