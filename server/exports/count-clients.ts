import { LIMITS } from '../core/limits';
import type { ExportRecord } from '../model/operation';
import type { ExportServer } from './export-server';

/** Clients of all exports together; at most LIMITS.METRICS_EXPORTS exports are looked at. */
export async function countClients(server: ExportServer, records: readonly ExportRecord[]): Promise<number> {
  let count = 0;
  for (const { exportName } of records.slice(0, LIMITS.METRICS_EXPORTS))
    count += (await server.clients(exportName)).count;
  return count;
}
