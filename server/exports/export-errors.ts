import { DaemonError, messageOf } from '../core/errors';

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

/** What a program itself said, without the command line that Node puts before it. */
export function saidBy(error: unknown): string {
  const said = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : '';
  return (said === '' ? messageOf(error) : said).split('\n').slice(0, 3).join(' ');
}
