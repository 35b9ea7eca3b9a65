export const EXPORT_PREFIX = 'migration-vol-';

/** The name of a volume's export in rows. Rows of other names belong to other programs. */
export function exportNameOf(volumeId: string): string {
  return EXPORT_PREFIX + volumeId.toLowerCase();
}
