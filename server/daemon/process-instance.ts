import { readlinkSync } from 'node:fs';
import { readBootId } from './boot-id';

/** Names a process so that another one on the same machine can tell whether it is still there. */
export interface Instances {
  /** This process; '' when the machine does not let us know. */
  readonly mine: string;
  /** True only with proof: a process of this boot and this PID namespace that is no more. */
  hasEnded(instance: string): boolean;
}

/**
 * `<boot id>/<PID namespace>/<pid>`. After kill -9 the daemon that systemd starts again need not wait for the
 * lease of the one before. A daemon of another machine, container or boot proves nothing: its lease is waited
 * for.
 */
export function processInstances(procDir: string, pid = process.pid): Instances {
  const where = machineOf(procDir);
  const mine = where === null ? '' : `${where}/${pid}`;
  return {
    mine,
    hasEnded: (instance) => {
      if (where === null || !instance.startsWith(`${where}/`)) return false;
      const other = Number(instance.slice(where.length + 1));
      // An owner with our own number was before us, or was we ourselves and has stopped.
      return Number.isInteger(other) && other > 0 && (other === pid || !exists(other));
    },
  };
}

function machineOf(procDir: string): string | null {
  const boot = readBootId(procDir);
  try {
    const namespace = readlinkSync('/proc/self/ns/pid').replace(/\D/g, '');
    return boot === null || namespace === '' ? null : `${boot}/${namespace}`;
  } catch {
    return null;
  }
}

/** By signal 0, not by /proc, which may hide the processes of others. */
function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !(error instanceof Error && 'code' in error && error.code === 'ESRCH');
  }
}
