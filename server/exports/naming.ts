import { isUuid } from '../core/is-uuid';

const PREFIX = 'migration-vol-';

/**
 * `migration-vol-<volume uuid>`, the name that MigrateKit asks for. Throws RangeError for anything that is no
 * UUID, so that no path or line of configuration can hide in a name.
 */
export function exportName(volumeId: string): string {
  const id = volumeId.toLowerCase();
  if (!isUuid(id)) throw new RangeError('a volume id is a UUID');
  return PREFIX + id;
}

const READ_ONLY = 'read_only';

/** Kept with an export, so that whoever publishes it again does it in the same way. */
export function accessMetadata(readOnly: boolean): Record<string, string> {
  return readOnly ? { [READ_ONLY]: 'true' } : {};
}

/** May nobody write through this export? */
export function isReadOnly({ metadata }: { readonly metadata: Readonly<Record<string, string>> }): boolean {
  return metadata[READ_ONLY] === 'true';
}

/** The volume of an export name; null when the name is not one of ours. */
export function volumeIdOf(name: string): string | null {
  const id = name.startsWith(PREFIX) ? name.slice(PREFIX.length) : '';
  return isUuid(id) ? id : null;
}
