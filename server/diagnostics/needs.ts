import type { CloudCapabilities } from '../cloudstack/cloud';
import type { Policy } from '../operations/policy';
import type { CommandReport } from './reports';

type Need = Omit<CommandReport, 'allowed'>;

/** Every command the daemon sends, and what would not work without it. */
const COMMANDS: readonly Need[] = [
  { name: 'listCapabilities', purpose: 'health' },
  { name: 'listVolumes', purpose: 'every operation, sync' },
  { name: 'listVirtualMachines', purpose: 'every attach, the identity of the appliance' },
  { name: 'listZones', purpose: 'create' },
  { name: 'listDiskOfferings', purpose: 'create' },
  { name: 'createVolume', purpose: 'create' },
  { name: 'attachVolume', purpose: 'attach, cleanup' },
  { name: 'detachVolume', purpose: 'detach, delete, cleanup' },
  { name: 'deleteVolume', purpose: 'delete' },
  { name: 'queryAsyncJobResult', purpose: 'every operation' },
  { name: 'resizeVolume', purpose: 'resize' },
  { name: 'createSnapshot', purpose: 'snapshot' },
  { name: 'listSnapshots', purpose: 'snapshot, delete of a snapshot, revert' },
  { name: 'deleteSnapshot', purpose: 'delete of a snapshot' },
  { name: 'revertSnapshot', purpose: 'revert' },
  { name: 'stopVirtualMachine', purpose: 'cleanup with force_clean' },
  { name: 'destroyVirtualMachine', purpose: 'cleanup with delete_vm' },
];
const COMMANDS_OF_TRASH: readonly Need[] = [
  { name: 'destroyVolume', purpose: 'delete with DELETE_MODE=trash' },
  { name: 'recoverVolume', purpose: 'recover, with DELETE_MODE=trash' },
];

/** `allowed`: the commands of the key; null when CloudStack did not tell. */
export function neededCommands(
  mode: Policy['deleteMode'],
  allowed: ReadonlySet<string> | null,
): CommandReport[] {
  const needed = mode === 'trash' ? [...COMMANDS, ...COMMANDS_OF_TRASH] : COMMANDS;
  return needed.map((command) => ({ ...command, allowed: allowed?.has(command.name) ?? null }));
}

/**
 * What a key may do beyond calling a command. An administrator is known by updateVolume, which the role of a
 * user lacks; a root administrator by updateConfiguration.
 */
export function rightsOf(
  capabilities: CloudCapabilities | null,
  allowed: ReadonlySet<string> | null,
): CommandReport[] {
  return [
    {
      name: 'expunge VMs',
      purpose: 'cleanup with delete_vm; without it the VM is destroyed, and CloudStack expunges it later',
      allowed: capabilities?.mayExpungeVms ?? null,
    },
    {
      name: 'recover volumes',
      purpose: 'undoing a delete with DELETE_MODE=trash',
      allowed: capabilities?.mayExpungeVolumes ?? null,
    },
    {
      name: 'create for another account',
      purpose: "an appliance whose account is not the key's",
      allowed: allowed?.has('updateVolume') ?? null,
    },
    {
      name: 'choose ids (customid)',
      purpose: 'root administrators only; nothing needs it',
      allowed: allowed?.has('updateConfiguration') ?? null,
    },
  ];
}
