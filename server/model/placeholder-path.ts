import { isUuid } from '../core/is-uuid';

/*
 * Every mapping has a device path, also one whose disk has no device on this appliance. What is stored then
 * is a placeholder: unique within its VM, and never a path that could be opened.
 */

export type PlaceholderPath =
  /** The disk should be on the appliance and is not found. */
  | { readonly kind: 'missing'; readonly volumeId: string }
  /** The disk is on another VM, into which the daemon cannot look. */
  | { readonly kind: 'remote'; readonly vmId: string; readonly volumeId: string };

const MISSING = 'missing-';
const REMOTE = 'remote-vm-';
const UUID_CHARACTERS = 36;

/** `missing-<volume id>` */
export function missingPath(volumeId: string): string {
  return `${MISSING}${volumeId}`;
}

/** `remote-vm-<vm id>-<volume id>` */
export function remotePath(vmId: string, volumeId: string): string {
  return `${REMOTE}${vmId}-${volumeId}`;
}

/** What a placeholder says; null for a real device path and for anything else. */
export function parsePlaceholderPath(path: string): PlaceholderPath | null {
  if (path.startsWith(MISSING)) {
    const volumeId = path.slice(MISSING.length);
    return isUuid(volumeId) ? { kind: 'missing', volumeId } : null;
  }
  const vmId = path.slice(REMOTE.length, REMOTE.length + UUID_CHARACTERS);
  const volumeId = path.slice(REMOTE.length + UUID_CHARACTERS + 1);
  const isRemote = path === remotePath(vmId, volumeId) && isUuid(vmId) && isUuid(volumeId);
  return isRemote ? { kind: 'remote', vmId, volumeId } : null;
}
