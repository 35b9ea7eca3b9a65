import { sql, type Transaction } from 'kysely';
import type { Database } from './connection/pool';
import type { Tables } from './tables';

/**
 * The hub of the appliance has a table of volumes (ossea_volumes). It expects that a mapping carries the
 * `vm_context_id` of its volume, and that the volume's row says where the volume is. Both happen only where
 * that table exists; volumes unknown to the hub are fine.
 */
export class OsseaVolumes {
  private known: Promise<boolean> | null = null;

  constructor(private readonly database: Database) {}

  /** True when there is a hub in this database. Asked once per epoch. */
  present(): Promise<boolean> {
    this.known ??= this.look().catch((error: unknown) => {
      this.known = null;
      throw error;
    });
    return this.known;
  }

  /** The hub may be installed while we run; a new epoch looks again. */
  forget(): void {
    this.known = null;
  }

  private async look(): Promise<boolean> {
    const { rows } = await this.database.query((db) =>
      sql<{
        n: number;
      }>`SELECT COUNT(*) AS n FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = 'ossea_volumes'
        AND column_name IN ('volume_id', 'vm_context_id', 'device_path', 'status')`.execute(db),
    );
    return Number(rows[0]?.n) === 4;
  }
}

/** After a mapping was written. */
export async function noteAttached(
  tx: Transaction<Tables>,
  volumeId: string,
  devicePath: string,
  at: Date,
): Promise<void> {
  await sql`UPDATE device_mappings m JOIN ossea_volumes v ON v.volume_id = ${volumeId} SET m.vm_context_id = v.vm_context_id
    WHERE m.volume_id = ${volumeId} AND v.vm_context_id IS NOT NULL`.execute(tx);
  await sql`UPDATE ossea_volumes SET device_path = ${devicePath}, status = 'attached', updated_at = ${at} WHERE volume_id = ${volumeId}`.execute(
    tx,
  );
}

/** After a mapping was removed. */
export async function noteDetached(tx: Transaction<Tables>, volumeId: string, at: Date): Promise<void> {
  await sql`UPDATE ossea_volumes SET device_path = NULL, status = 'detached', updated_at = ${at} WHERE volume_id = ${volumeId}`.execute(
    tx,
  );
}
