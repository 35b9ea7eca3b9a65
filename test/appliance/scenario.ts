import type { MachineType } from '~/lab/guest/qmp-guest';
import type { World } from './world';

export interface Scenario {
  readonly name: string;
  /** What it shows, in one line. */
  readonly story: string;
  /** Machines it runs on; letters and their order depend on the machine. */
  readonly machines: readonly MachineType[];
  /** Throws when the promise is broken. What it returns is printed beside the result. */
  run(world: World): Promise<string | undefined>;
}

/** Says what is wrong when it is. */
export function check(condition: boolean, complaint: string): asserts condition {
  if (!condition) throw new Error(complaint);
}
