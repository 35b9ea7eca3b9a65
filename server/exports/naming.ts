import { isUuid } from '../core/is-uuid';
import { EXPORT_PREFIX, exportNameOf } from '../model/export-name';

/**
 * `migration-vol-<volume uuid>`, the name that MigrateKit asks for. Throws RangeError for anything that is no
 * UUID, so that no path or line of configuration can hide in a name.
 */
export function exportName(volumeId: string): string {
  if (!isUuid(volumeId.toLowerCase())) throw new RangeError('a volume id is a UUID');
  return exportNameOf(volumeId);
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
  const id = name.startsWith(EXPORT_PREFIX) ? name.slice(EXPORT_PREFIX.length) : '';
  return isUuid(id) ? id : null;
}
