import type { Clock } from '../core/clock';
import { settled } from '../devices/disk-users';
import type { ExportServer } from './export-server';

/**
 * Who is connected to an export, in words. While nobody is but those who are leaving, they are waited for, for up
 * to LIMITS.HOLDER_PASSES_MS; who has not ended by then counts, because the disk is still open.
 */
export async function whoStays(
  server: Pick<ExportServer, 'clients'>,
  clock: Clock,
  name: string,
): Promise<readonly string[]> {
  const { connected, leaving } = await settled(
    clock,
    () => server.clients(name),
    (clients) => (clients.connected.length > 0 ? [] : clients.leaving),
  );
  return [...connected, ...leaving];
}
