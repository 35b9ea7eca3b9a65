import { z } from 'zod';
import { LIMITS } from '../../core/limits';
import { EXPORT_STATUSES } from '../../model/operation';
import {
  bytes,
  cleanText,
  expected,
  flag,
  longestList,
  named,
  oneOf,
  queryFlag,
  timestamp,
  uuid,
} from './fields';
import { exportTrafficSchema } from './traffic';

export const exportParams = z.object({ volume_id: uuid('a volume') });

const note = (what: string) => cleanText(what, LIMITS.NAME_CHARACTERS);
/** Existing callers send an empty text for what they do not know. */
const noteOrEmpty = (what: string) =>
  z.union([z.literal(''), note(what)], {
    error: expected(`${what}, of at most ${LIMITS.NAME_CHARACTERS} characters, or empty`),
  });
const DISK_NUMBER = expected('a disk number: a whole number, not negative');

/**
 * Fields as existing callers name them; all but volume_id and read_only go into the metadata of the export.
 */
export const exportBody = z.object({
  volume_id: uuid('a volume'),
  vm_name: noteOrEmpty('the name of the VM').nullish(),
  vm_id: noteOrEmpty('the id of the VM').nullish(),
  disk_number: z
    .union(
      [
        z.int({ error: DISK_NUMBER }).nonnegative({ error: DISK_NUMBER }),
        z.string().regex(/^\d{1,6}$/, { error: DISK_NUMBER }),
      ],
      {
        error: DISK_NUMBER,
      },
    )
    .transform(String)
    .nullish(),
  read_only: flag('let nobody write').nullish(),
});

export const exportsQuery = z.object({
  volume_id: uuid('a volume').optional(),
  status: oneOf(EXPORT_STATUSES).optional(),
  vm_name: note('the name of a VM').optional(),
  limit: longestList.optional(),
});

export const withdrawQuery = z.object({ force: queryFlag('disconnect clients') });
export const withdrawBody = z.object({ force: flag('disconnect clients').nullish() });

export const exportSchema = named('Export', {
  id: z.string(),
  volume_id: z.string(),
  export_name: z.string().meta({ description: 'migration-vol-<volume id>' }),
  device_path: z.string(),
  port: z.int().meta({ description: 'read-only exports of nbdkit have a port of their own' }),
  read_only: z.boolean().meta({ description: 'nobody can write through it' }),
  status: z.enum(EXPORT_STATUSES),
  created_at: timestamp,
  updated_at: timestamp,
  metadata: z.record(z.string(), z.string()),
  traffic: exportTrafficSchema
    .optional()
    .meta({ description: 'in answers of GET /exports and GET /exports/{volume_id} only' }),
});
export type ExportReply = z.infer<typeof exportSchema>;
export const exportListSchema = z.array(exportSchema).meta({ id: 'ExportList' });

export const exportWithdrawalSchema = named('ExportWithdrawal', {
  message: z.string(),
  existed: z.boolean(),
});

export type ExportWithdrawalReply = z.infer<typeof exportWithdrawalSchema>;

export const exportValidationSchema = named('ExportValidation', {
  message: z.string(),
  timestamp,
  valid: z.boolean(),
  results: z.array(
    z.object({
      volume_id: z.string(),
      export_name: z.string(),
      ok: z.boolean(),
      message: z.string(),
      size: bytes.nullable(),
      expected_size: bytes,
    }),
  ),
});

const DRY_RUN = 'only say what would be withdrawn; true unless told';
export const cleanupExportsBody = z.object({ dry_run: flag(DRY_RUN).nullish() });
const HOURS = expected('a number of hours above 0, at most 87600');
export const cleanupExportsByAgeBody = cleanupExportsBody.extend({
  max_age_hours: z.number({ error: HOURS }).positive({ error: HOURS }).max(87_600, { error: HOURS }),
});

/** Field names of the daemon before this one, whose operators read them. */
export const exportCleanupSchema = named('ExportCleanup', {
  dry_run: z.boolean(),
  total_exports: z.int().meta({ description: 'that the export server has' }),
  orphaned_exports: z.int(),
  cleaned_exports: z.int(),
  failed_cleanups: z.int(),
  orphaned_export_details: z.array(
    z.object({
      volume_id: z.string(),
      export_name: z.string(),
      device_path: z.string().nullable().meta({ description: 'where it leads; null: nowhere' }),
      since: timestamp.nullable().meta({ description: 'of the last operation on the volume' }),
    }),
  ),
  cleanup_errors: z.array(z.string()),
  config_files_validated: z.int(),
  database_inconsistencies: z.array(z.string()),
  operation_time: z.int().meta({ description: 'nanoseconds' }),
});

export const orphanCountSchema = named('OrphanCount', { orphaned_exports_count: z.int(), timestamp });
