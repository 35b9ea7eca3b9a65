import { type RawBuilder, sql, type Transaction } from 'kysely';
import type { Epoch, OpenJob } from '../../model/ledger';
import type { JournalEntry, JsonObject, MutationStep } from '../../model/operation';
import type { Database } from '../connection/pool';
import type { Tables } from '../tables';
import { assertEpoch } from './fencing';
import { entriesAfter, insertEntries } from './write-journal';

/** The steps whose CloudStack job changes a volume, and so may still do it after its operation has ended. */
const STEPS_WITH_JOBS: readonly MutationStep[] = [
  'create-volume',
  'attach-volume',
  'detach-volume',
  'undo-detach-volume',
  'delete-volume',
  'resize-volume',
  'create-snapshot',
  'delete-snapshot',
  'revert-volume',
];

/** What tells of jobs. */
export type JobEntry = Pick<JournalEntry, 'operationId' | 'step' | 'state' | 'data'>;

type OpenMutation = OpenJob & { readonly step: MutationStep };

/** Jobs that were intended and whose end was never journaled. Pure; entries in order, of any steps. */
export function findOpenJobs(entries: readonly JobEntry[]): OpenMutation[] {
  const open = new Map<string, OpenMutation>();
  const latest = new Map<string, string>();
  for (const { operationId, step: written, state, data } of entries) {
    const step = STEPS_WITH_JOBS.find((known) => known === written);
    if (step === undefined) continue;
    const place = `${operationId} ${step}`;
    const jobId = typeof data.job_id === 'string' ? data.job_id : latest.get(place);
    if (jobId === undefined) continue;
    if (state === 'intent' || state === 'accepted') {
      latest.set(place, jobId);
      open.set(`${place} ${jobId}`, { operationId, step, jobId });
    } else if (state === 'refused' || state === 'finished') {
      open.delete(`${place} ${jobId}`);
    }
  }
  return [...open.values()];
}

/** Kept in a table of their own, so that a mutation need not read the whole history of its volume. */
export async function rememberOpenJobs(
  tx: Transaction<Tables>,
  operationId: string,
  journal: readonly JournalEntry[],
): Promise<void> {
  for (const statement of openJobStatements(operationId, journal)) await statement.execute(tx);
}

/** What `rememberOpenJobs` sends, after the operation's row. */
export function openJobStatements(operationId: string, journal: readonly JobEntry[]): RawBuilder<unknown>[] {
  return findOpenJobs(journal).map(
    ({ step, jobId }) => sql`INSERT INTO straggling_jobs (operation_id, step, job_id, volume_id)
      SELECT id, ${step}, ${jobId}, volume_id FROM volume_operations WHERE id = ${operationId} AND volume_id <> ''`,
  );
}

/** See Ledger.openJobs. */
export async function readOpenJobs(database: Database, volumeId: string): Promise<OpenJob[]> {
  const rows = await database.query((db) =>
    db.selectFrom('straggling_jobs').selectAll().where('volume_id', '=', volumeId).execute(),
  );
  return rows.map((row) => ({ operationId: row.operation_id, step: row.step, jobId: row.job_id }));
}

/** See Ledger.volumesStillComing. */
export async function readVolumesStillComing(database: Database, vmId: string): Promise<string[]> {
  const rows = await database.query((db) =>
    db
      .selectFrom('straggling_jobs as job')
      .innerJoin('volume_operations as operation', 'operation.id', 'job.operation_id')
      .select('job.volume_id')
      .distinct()
      .where('job.step', '=', 'attach-volume')
      .where('operation.vm_id', '=', vmId)
      .execute(),
  );
  return rows.map((row) => row.volume_id);
}

/** See Ledger.settleOpenJob. */
export async function settleOpenJob(
  database: Database,
  epoch: Epoch,
  parts: OpenJob & { readonly data: JsonObject; readonly at: number },
): Promise<JournalEntry[]> {
  const { operationId, step, jobId, data, at } = parts;
  return database.transaction(async (tx) => {
    await assertEpoch(tx, epoch);
    // Waits for others who settle it, and for an earlier run of this one, before the next sequence is chosen.
    await sql`SELECT id FROM volume_operations WHERE id = ${operationId} FOR UPDATE`.execute(tx);
    const journal = await entriesAfter(tx, operationId, 0);
    const open = findOpenJobs(journal).find((one) => one.step === step && one.jobId === jobId);
    const after = journal.at(-1)?.sequence ?? 0;
    const settled = open
      ? await insertEntries(tx, { applianceId: epoch.applianceId, operationId, after, at }, [
          { step: open.step, state: 'finished', data: { job_id: jobId, ...data } },
        ])
      : [];
    await tx
      .deleteFrom('straggling_jobs')
      .where('operation_id', '=', operationId)
      .where('step', '=', step)
      .where('job_id', '=', jobId)
      .execute();
    return settled;
  });
}
