import type { CloudCommand, CloudOwner } from '../cloud';
import type { Parameters } from './signing';

/** The name and parameters of a command for CloudStack. */
export function wireCommand(command: CloudCommand): { name: string; parameters: Parameters } {
  switch (command.name) {
    case 'createVolume':
      return {
        name: command.name,
        parameters: {
          name: command.volumeName,
          zoneid: command.zoneId,
          diskofferingid: command.diskOfferingId,
          ...(command.sizeGiB === null ? {} : { size: String(command.sizeGiB) }),
          ...ownerParameters(command.owner),
        },
      };
    case 'attachVolume':
      return {
        name: command.name,
        parameters: {
          id: command.volumeId,
          virtualmachineid: command.vmId,
          ...(command.deviceId === null ? {} : { deviceid: String(command.deviceId) }),
        },
      };
    case 'detachVolume':
      return { name: command.name, parameters: { id: command.volumeId } };
    case 'destroyVolume':
      return { name: command.name, parameters: { id: command.volumeId, expunge: String(command.expunge) } };
    case 'resizeVolume':
      return { name: command.name, parameters: { id: command.volumeId, size: String(command.sizeGiB) } };
    case 'createSnapshot':
      return {
        name: command.name,
        parameters: { volumeid: command.volumeId, name: command.snapshotName },
      };
    case 'deleteSnapshot':
    case 'revertSnapshot':
      return { name: command.name, parameters: { id: command.snapshotId } };
    case 'stopVirtualMachine':
      return { name: command.name, parameters: { id: command.vmId, forced: 'false' } };
    case 'destroyVirtualMachine':
      return { name: command.name, parameters: { id: command.vmId, expunge: String(command.expunge) } };
    default:
      return command satisfies never;
  }
}

/** CloudStack refuses a project together with an account, and an account without its domain. */
function ownerParameters(owner: CloudOwner | null): Parameters {
  if (owner === null) return {};
  const { projectId, account, domainId } = owner;
  if (projectId !== null) return { projectid: projectId };
  return account === null || domainId === null ? {} : { account, domainid: domainId };
}
