import { DaemonError, messageOf } from '../core/errors';
import { hasCode } from '../core/has-code';

/** The export server does not do what it should. */
export function unhealthy(reason: string, cause?: unknown): DaemonError {
  return new DaemonError(
    'EXPORT_SERVER_UNHEALTHY',
    `The NBD server does not answer as it should: ${reason}`,
    { cause },
  );
}

/** A device is not the one that the caller verified, so nothing is exported. */
export function notTheDevice(devicePath: string, reason: string): DaemonError {
  return new DaemonError('DEVICE_IDENTITY_MISMATCH', `${devicePath} is not exported: ${reason}`, {
    details: { device_path: devicePath },
  });
}

/**
 * For `catch`: throws EXPORT_CONFIG_FAILED, with what to do about it.
 *
 * @example
 * await writeDurably(path, text).catch(configFailed(path, 'written'));
 */
export function configFailed(path: string, what: 'made' | 'read' | 'removed' | 'written') {
  return (cause: unknown): never => {
    const fix = hasCode(cause, 'ENOSPC')
      ? 'free some space'
      : hasCode(cause, 'EROFS')
        ? 'mount it writable (ReadWritePaths of the unit)'
        : hasCode(cause, 'EACCES', 'EPERM')
          ? 'check the permissions'
          : 'see the reason';
    const message = `${path} could not be ${what}: ${messageOf(cause)}; ${fix}`;
    throw new DaemonError('EXPORT_CONFIG_FAILED', message, { cause, details: { path } });
  };
}
