import type { Clock } from '../core/clock';
import { settled } from '../devices/disk-users';
import type { ExportClients, ExportServer } from './export-server';

/**
 * Who is connected to an export, in words. While nobody is but those who are leaving, they are waited for,
 * for up to LIMITS.HOLDER_PASSES_MS; who has not ended by then counts, because the disk is still open.
 */
export async function whoStays(
  { server, clock }: { readonly server: Pick<ExportServer, 'clients'>; readonly clock: Clock },
  name: string,
): Promise<readonly string[]> {
  const leaving = (clients: ExportClients) => (clients.connected.length > 0 ? [] : clients.leaving);
  const clients = await settled(clock, () => server.clients(name), leaving);
  return [...clients.connected, ...clients.leaving];
}
