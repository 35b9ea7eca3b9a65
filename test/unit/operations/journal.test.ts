import { describe, expect, it } from 'vitest';
import type { JournalEntry, JournalState, JsonObject } from '~/server/model/operation';
import { Journal } from '~/server/operations/journal';

let sequence = 0;
function entry(step: string, state: JournalState, data: JsonObject = {}): JournalEntry {
  sequence += 1;
  return { id: sequence, operationId: 'op', sequence, step, state, data, at: sequence * 1000 };
}

describe('the folded journal', () => {
  it('knows nothing before the first intent', () => {
    const journal = new Journal([entry('operation', 'pending'), entry('operation', 'executing')]);
    expect(journal.mutation('attach-volume')).toEqual({ at: 'none' });
    expect(journal.hasIntent).toBe(false);
  });

  it('stays at the intent until an answer is written, and keeps the job id for the question after a crash', () => {
    const journal = new Journal([entry('attach-volume', 'intent', { job_id: 'j1' })]);
    expect(journal.mutation('attach-volume')).toMatchObject({ at: 'intended', jobId: 'j1', tries: 1 });
    expect(journal.hasIntent).toBe(true);
  });

  it('remembers the volume that an accepted create named', () => {
    const journal = new Journal([
      entry('create-volume', 'intent', { job_id: 'j1' }),
      entry('create-volume', 'accepted', { job_id: 'j1', volume_id: 'v1' }),
      entry('create-volume', 'finished', { job_id: 'j1', outcome: 'ok' }),
    ]);
    expect(journal.mutation('create-volume')).toMatchObject({
      at: 'ended',
      outcome: 'ok',
      volumeId: 'v1',
      tries: 1,
    });
  });

  it('counts tries over several intents and only believes the latest one', () => {
    const journal = new Journal([
      entry('detach-volume', 'intent', { job_id: 'j1' }),
      entry('detach-volume', 'finished', { job_id: 'j1', outcome: 'failed', code: 530, text: 'no' }),
      entry('detach-volume', 'intent', { job_id: 'j2' }),
    ]);
    expect(journal.mutation('detach-volume')).toMatchObject({ at: 'intended', jobId: 'j2', tries: 2 });
  });

  it('takes an outcome it does not know for unknown, never for success', () => {
    const journal = new Journal([
      entry('attach-volume', 'intent', { job_id: 'j1' }),
      entry('attach-volume', 'finished', { job_id: 'j1', outcome: 'splendid' }),
    ]);
    expect(journal.mutation('attach-volume')).toMatchObject({ at: 'ended', outcome: 'unknown' });
  });

  it('a step counts as done only until its undo', () => {
    const mapped = new Journal([entry('map', 'done')]);
    expect(mapped.standing('map', 'unmap')).toBe(true);
    expect(mapped.with([entry('unmap', 'done')]).standing('map', 'unmap')).toBe(false);
    expect(mapped.with([entry('unmap', 'done'), entry('map', 'done')]).standing('map', 'unmap')).toBe(true);
  });

  it('keeps the first reason for failing, whatever the undo reports later', () => {
    const journal = new Journal([
      entry('operation', 'failing', { code: 'DEVICE_NOT_DETECTED', message: 'first' }),
      entry('operation', 'failing', { code: 'INTERNAL', message: 'second' }),
    ]);
    expect(journal.failing).toMatchObject({ code: 'DEVICE_NOT_DETECTED', message: 'first' });
  });
});
