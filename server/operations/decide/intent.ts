import type { CloudVolume } from '../../cloudstack/cloud';
import type { JsonObject, JsonValue } from '../../model/operation';
import type { IgnoredUsers, Intent } from '../decision';
import { plugEntry, plugIn } from '../journal';

/** What the intent of a detach records: the VM, the plug that it ends, and whose use is ignored. */
export function plugData(volume: CloudVolume, { users, clients }: IgnoredUsers = NOBODY): JsonObject {
  return {
    volume_id: volume.id,
    vm_id: volume.vmId,
    ...plugEntry(volume),
    ignore_users: users,
    ignore_clients: clients,
  };
}

const NOBODY: IgnoredUsers = { users: false, clients: false };

/**
 * Reads an intent from the journal (plugData, and `about` of ./attach.ts); an older version may have written
 * fewer fields.
 */
export function intentOf(data: JsonObject | null): Omit<Intent, 'sentBefore'> {
  return {
    vmId: typeof data?.vm_id === 'string' ? data.vm_id : null,
    plug: plugIn(data ?? {}),
    ignored: { users: data?.ignore_users === true, clients: clientsOf(data?.ignore_clients) },
    stillOnly: data?.still_only === true,
    missingOnly: data?.missing_only === true,
  };
}

function clientsOf(value: JsonValue | undefined): IgnoredUsers['clients'] {
  return value === true || value === 'when-idle' ? value : false;
}
