import { type Kysely, sql } from 'kysely';
import { z } from 'zod';
import type { OsseaConfigRow } from '../model/ossea-config';
import { translate } from './connection/faults';
import type { Tables } from './tables';

/** The hub's table exists in several shapes; what is missing is null, and what is of no use to us is not read. */
const optional = z
  .union([z.string(), z.number()])
  .transform(String)
  .nullish()
  .transform((value) => (value === null || value === undefined || value.trim() === '' ? null : value.trim()));
const row = z
  .object({
    id: z.union([z.string(), z.number(), z.bigint()]).transform(String),
    name: z.string().nullish(),
    api_url: z.string().nullish(),
    api_key: z.string().nullish(),
    secret_key: z.string().nullish(),
    domain: optional,
    zone: optional,
    disk_offering_id: optional,
    oma_vm_id: optional,
    is_active: z.unknown(),
    updated_at: z.date().nullish().catch(null),
  })
  .transform(
    (v): OsseaConfigRow => ({
      id: v.id,
      name: v.name ?? '',
      apiUrl: v.api_url ?? '',
      apiKey: v.api_key ?? '',
      secretKey: v.secret_key ?? '',
      domain: v.domain,
      zone: v.zone,
      diskOfferingId: v.disk_offering_id,
      omaVmId: v.oma_vm_id,
      isActive: v.is_active === 1 || v.is_active === true || v.is_active === '1',
      updatedAt: v.updated_at?.getTime() ?? null,
    }),
  );

/** All rows, the newest active one first. Throws DATABASE_UNAVAILABLE. */
export async function readOsseaConfigs(db: Kysely<Tables>): Promise<OsseaConfigRow[]> {
  try {
    const { rows } = await sql`SELECT * FROM ossea_configs`.execute(db);
    const parsed = rows.map((candidate) => row.parse(candidate));
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
