import { type Kysely, sql } from 'kysely';
import { z } from 'zod';
import type { OsseaConfigRow } from '../model/ossea-config';
import { translate } from './connection/faults';
import { camelKeys } from './rows';
import type { Tables } from './tables';

/**
 * The hub's table exists in several shapes; what is missing is null, and what is of no use to us is not read.
 */
const optional = z
  .union([z.string(), z.number()])
  .transform(String)
  .nullish()
  .transform((value) => (value === null || value === undefined || value.trim() === '' ? null : value.trim()));
const text = z
  .string()
  .nullish()
  .transform((value) => value ?? '');
const configRow = z.object({
  id: z.union([z.string(), z.number(), z.bigint()]).transform(String),
  name: text,
  api_url: text,
  api_key: text,
  secret_key: text,
  domain: optional,
  zone: optional,
  disk_offering_id: optional,
  oma_vm_id: optional,
  project_id: optional,
  account: optional,
  domain_id: optional,
  is_active: z.unknown().transform((value) => value === 1 || value === true || value === '1'),
  updated_at: z
    .date()
    .nullish()
    .catch(null)
    .transform((date) => date?.getTime() ?? null),
});

/** All rows, the newest active one first. Throws DATABASE_UNAVAILABLE. */
export async function readOsseaConfigs(db: Kysely<Tables>): Promise<OsseaConfigRow[]> {
  try {
    const { rows } = await sql`SELECT * FROM ossea_configs`.execute(db);
    const parsed = rows.map((row): OsseaConfigRow => camelKeys(configRow.parse(row)));
    return parsed.sort(
      (a, b) =>
        Number(b.isActive) - Number(a.isActive) ||
        (b.updatedAt ?? 0) - (a.updatedAt ?? 0) ||
        Number(b.id) - Number(a.id),
    );
  } catch (error) {
    throw translate(error);
  }
}
