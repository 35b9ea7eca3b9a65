/**
 * What a VM's state means for a disk of it. `running`: in use. `still`: no guest runs, its disks can be
 * detached. `moving`: it will soon be one of the two, and CloudStack refuses disk calls until then ("either
 * running or stopped"). `gone`: destroyed or being expunged.
 */
export type VmPhase = 'running' | 'still' | 'moving' | 'gone';

const PHASES: Readonly<Record<string, VmPhase>> = {
  Running: 'running',
  Stopped: 'still',
  Shutdown: 'still',
  Starting: 'moving',
  Stopping: 'moving',
  Migrating: 'moving',
  Restoring: 'moving',
  Destroyed: 'gone',
  Expunging: 'gone',
};

/** null for Error, Unknown and states of other versions: then it is not known whether a guest runs. */
export function vmPhase(state: string): VmPhase | null {
  return PHASES[state] ?? null;
}
