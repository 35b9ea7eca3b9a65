import { ApiError } from '../records';
import { type Account, accountText } from './accounts';

/**
 * CloudStack's errors, with the codes and texts of 4.20. `cserrorcode` 4350 is an
 * InvalidParameterValueException, 9999 an error thrown straight by the API layer; neither
 * number means "not found".
 */

/** A lookup that finds nothing: ids that never were, jobs that were purged. Removed rows are still found. */
export function badValue(command: string, parameter: string, value: string): ApiError {
  return new ApiError(
    431,
    `Unable to execute API command ${command.toLowerCase()} due to invalid value. Invalid parameter ${parameter} value=${value} due to incorrect long value format, or entity does not exist or due to incorrect parameter annotation for the field in api cmd class.`,
  );
}

export function missing(command: string, parameter: string): ApiError {
  return new ApiError(
    431,
    `Unable to execute API command ${command.toLowerCase()} due to missing parameter ${parameter}`,
  );
}

export function refused(text: string): ApiError {
  return new ApiError(431, text, 4350);
}

export function internal(text: string): ApiError {
  return new ApiError(530, text, 4250);
}

export function forbidden(text: string): ApiError {
  return new ApiError(531, text, 4365);
}

/** 401 for bad signatures, keys, expiry and unknown commands alike: no `cserrorcode`. */
export function unauthorized(): ApiError {
  return new ApiError(401, 'unable to verify user credentials and/or request signature', null);
}

/** A command that the role of the account lacks. */
export function unavailable(command: string, account: Account): ApiError {
  return new ApiError(
    432,
    `The API [${command}] does not exist or is not available for the account ${accountText(account)}.`,
  );
}

/** A number, boolean or the like that is none. */
export function wrongType(command: string, parameter: string, value: string): ApiError {
  return new ApiError(
    431,
    `Unable to execute API command ${command.toLowerCase()} due to invalid value ${value} for parameter ${parameter}`,
  );
}

/** Somebody else's thing, named in a change. */
export function noAccess(): ApiError {
  return forbidden('Caller does not have permission to operate with provided resource.');
}

/** What the database says to an id that a row has: the exception comes from deep below, so it is no 431. */
export function entityExists(): ApiError {
  return new ApiError(530, 'Entity already exists ');
}

const HIDDEN_TEXT = 'Internal error executing command, please contact your system administrator';

/**
 * Users are not told what went wrong inside; administrators are. Texts in job results are the same for
 * everybody.
 */
export function toldTo(account: Account | null, error: ApiError): ApiError {
  const hidden = error.code === 530 || error.code === 533 || error.code === 534;
  return hidden && account?.role !== 'root' ? new ApiError(error.code, HIDDEN_TEXT, error.csCode) : error;
}

export function idTaken(id: string): ApiError {
  return refused(`UUID: ${id} already exists so can't create/update with custom id`);
}

/** The quota error of real servers is 535; 432, as some documents say, is "unsupported action". */
export function quota(
  account: Pick<Account, 'name'>,
  type: 'volume' | 'primary_storage',
  limit: number,
  used: number,
  asked: number,
): ApiError {
  const amount = type === 'volume' ? String : readable;
  return new ApiError(
    535,
    `Maximum amount of resources of Type = '${type}', tag = 'null' for Account Name = ${account.name} in Domain Id = 1 is exceeded: Account Resource Limit = ${amount(limit)}, Current Account Resource Amount = ${amount(used)}, Current Account Resource Reservation = ${amount(0)}, Requested Resource Amount = ${amount(asked)}.`,
    4370,
  );
}

/** `(8.00 GB) 8589934592` */
function readable(bytes: number): string {
  return `(${bytes === 0 ? '0 bytes' : `${(bytes / 1024 ** 3).toFixed(2)} GB`}) ${bytes}`;
}

/** apache/cloudstack#7316 */
export function detachTimedOut(volume: string, vm: string): ApiError {
  return internal(
    `Failed to detach volume ${volume} from VM ${vm}; com.cloud.exception.InternalErrorException: Could not detach volume after sending the command and waiting for [10000] milliseconds. Probably the VM does not support the sent detach command or the device is busy at the moment. Try again in a couple of minutes.`,
  );
}

/** apache/cloudstack#7316: a second detach while the first unplug is pending. */
export function stillUnplugging(volume: string, vm: string, deviceId: number): ApiError {
  return internal(
    `Failed to detach volume ${volume} from VM ${vm}; org.libvirt.LibvirtException: internal error: unable to execute QEMU command 'device_del': Device virtio-disk${deviceId} is already in the process of unplug`,
  );
}

export function plugFailed(volume: string, vm: string, reason: string): ApiError {
  return internal(
    `Failed to attach volume ${volume} to VM ${vm}; org.libvirt.LibvirtException: operation failed: ${reason}`,
  );
}

/** The usual text of an error code, for faults that name only the code. `ms`: what a 429 asks to wait. */
export function textOf(code: number, ms: number): string {
  switch (code) {
    case 401:
      return unauthorized().message;
    case 429:
      return `The given user has reached his/her account api limit, please retry after [${ms}] ms.`;
    case 533:
      return 'Unable to create a deployment, no usable volume allocation found';
    case 534:
      return 'Resource [StoragePool:1] is unreachable: Unable to send command';
    case 535:
      return quota({ name: 'admin' }, 'volume', 20, 20, 1).message;
    default:
      return 'Failed for the test';
  }
}

interface Named {
  readonly id: string;
  readonly name: string;
}

const json = ({ id, name }: Named) => `[{"name":"${name}","uuid":"${id}"}]`;

/**
 * The first attach makes the disk on a storage pool; none fits, or none is known yet after a
 * start of the server.
 */
export function noStorage(volume: Named): string {
  return `Unable to find suitable primary storage when creating volume ${json(volume)}.`;
}

export function createFailed(volume: Named, reason: string): string {
  return `Failed to create volume ${json(volume)} due to [${reason}].`;
}

export const NO_ENDPOINT =
  'No remote endpoint to send command, unable to find a valid endpoint. Requires encryption support: false';

export const NOT_SCHEDULED =
  'Unable to schedule async job for command com.cloud.vm.VmWorkDetachVolume, unexpected exception.';

/** A VM that is starting, stopping, migrating, destroyed. */
export const VM_NEITHER = 'Please specify a VM that is either running or stopped.';
