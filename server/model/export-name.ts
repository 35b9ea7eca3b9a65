import { isUuid } from '../core/is-uuid';

const PREFIX = 'migration-vol-';

/** The name of a volume's export in rows. Rows of other names belong to other programs. */
export function exportNameOf(volumeId: string): string {
  return PREFIX + volumeId.toLowerCase();
}

/**
 * `migration-vol-<volume uuid>`, the name that MigrateKit asks for. Throws RangeError for anything that is no
 * UUID, so that no path or line of configuration can hide in a name.
 */
export function exportName(volumeId: string): string {
  if (!isUuid(volumeId.toLowerCase())) throw new RangeError('a volume id is a UUID');
  return exportNameOf(volumeId);
}

/** The volume of an export name; null when the name is not one of ours. */
export function volumeIdOf(name: string): string | null {
  const id = name.startsWith(PREFIX) ? name.slice(PREFIX.length) : '';
  return isUuid(id) ? id : null;
}
