import { expect, it } from 'vitest';
import { findOpenJobs, type JobEntry } from '~/server/database/journal/open-jobs';

const entry = (step: string, state: JobEntry['state'], jobId?: string, operationId = 'op'): JobEntry => ({
  operationId,
  step,
  state,
  data: jobId === undefined ? {} : { job_id: jobId },
});
const intent = entry('attach-volume', 'intent', 'j1');
const job = { operationId: 'op', step: 'attach-volume', jobId: 'j1' };

it.each<[what: string, entries: JobEntry[], open: object[]]>([
  ['intended', [intent], [job]],
  ['accepted, by the job that was intended', [intent, entry('attach-volume', 'accepted')], [job]],
  ['waited for', [intent, entry('attach-volume', 'waiting')], [job]],
  ['waited for by name', [intent, entry('attach-volume', 'waiting', 'j1')], [job]],
  ['given up by the operation', [intent, entry('attach-volume', 'failing', 'j1')], [job]],
  ['told of', [intent, entry('attach-volume', 'note', 'j1')], [job]],
  ['refused', [intent, entry('attach-volume', 'refused')], []],
  ['finished', [intent, entry('attach-volume', 'finished', 'j1')], []],
  ['another one of the same step has ended', [intent, entry('attach-volume', 'finished', 'j0')], [job]],
  ['that of another step has ended', [intent, entry('detach-volume', 'finished', 'j1')], [job]],
  ['that of another operation has ended', [intent, entry('attach-volume', 'finished', 'j1', 'other')], [job]],
  ['the end of the operation ends no job', [intent, entry('operation', 'failed')], [job]],
  ['an end without an intent', [entry('attach-volume', 'finished')], []],
  ['a step without a job', [entry('map', 'intent', 'j1')], []],
  [
    'sent again after a refusal',
    [intent, entry('attach-volume', 'refused'), entry('attach-volume', 'intent', 'j2')],
    [{ ...job, jobId: 'j2' }],
  ],
  [
    'sent again, and only the second has ended',
    [intent, entry('attach-volume', 'intent', 'j2'), entry('attach-volume', 'finished')],
    [job],
  ],
])('a job is open until its end was journaled: %s', (_what, entries, open) => {
  expect(findOpenJobs(entries)).toEqual(open);
});
