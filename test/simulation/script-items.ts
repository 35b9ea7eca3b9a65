import type { Fault } from '~/lab/cloudstack/faults';
import type { Holder } from '~/server/devices/device';
import type { CrashPoint } from './gate';

/**
 * What callers ask for. Volumes are named by their number in the schedule; those that are created get the
 * numbers after.
 */
export type Ask =
  | { readonly kind: 'create'; readonly name: string; readonly bytes: number; readonly fixed: boolean }
  | { readonly kind: 'attach'; readonly volume: number; readonly where: 'here' | 'elsewhere' }
  | { readonly kind: 'detach'; readonly volume: number; readonly force: boolean }
  | { readonly kind: 'delete'; readonly volume: number; readonly force: boolean }
  | {
      readonly kind: 'cleanup';
      readonly volume: number;
      readonly deleteVm: boolean;
      readonly forceClean: boolean;
    }
  /** To so many bytes more than it has. */
  | { readonly kind: 'resize'; readonly volume: number; readonly moreBytes: number }
  /** Out of CloudStack's trash. */
  | { readonly kind: 'recover'; readonly volume: number }
  | { readonly kind: 'snapshot'; readonly volume: number }
  /** Of all volumes that are there then; without any, nothing. */
  | { readonly kind: 'snapshot-group'; readonly where: 'here' | 'elsewhere' }
  /** `which`: counted back from the one that was taken last; of any volume. */
  | { readonly kind: 'delete-snapshot'; readonly which: number }
  | { readonly kind: 'revert'; readonly volume: number; readonly which: number }
  /** The request before it is cancelled. */
  | { readonly kind: 'cancel' }
  | { readonly kind: 'sync' }
  | { readonly kind: 'publish'; readonly volume: number }
  | { readonly kind: 'withdraw'; readonly volume: number; readonly force: boolean }
  /** An NBD client comes, and leaves after `ms`. */
  | { readonly kind: 'client'; readonly volume: number; readonly ms: number }
  /** Something in the guest holds the disk open for `ms`. */
  | { readonly kind: 'hold'; readonly volume: number; readonly ms: number };

/** What goes wrong. */
export type Mishap =
  | { readonly kind: 'crash'; readonly who: number; readonly point: CrashPoint; readonly back: number }
  | { readonly kind: 'drain'; readonly who: number; readonly back: number }
  | { readonly kind: 'reboot'; readonly ms: number }
  | { readonly kind: 'clock-jump'; readonly ms: number }
  | { readonly kind: 'database-clock-jump'; readonly ms: number }
  /** `both`: the database is on the appliance. */
  | { readonly kind: 'clocks-jump'; readonly ms: number; readonly both: boolean }
  /** Nobody starts the daemon for so long. */
  | { readonly kind: 'absence'; readonly ms: number }
  | { readonly kind: 'pause'; readonly who: number; readonly ms: number; readonly atCall: boolean }
  | { readonly kind: 'database-away'; readonly ms: number; readonly afterCommit: boolean }
  | { readonly kind: 'cloudstack'; readonly fault: Fault }
  | {
      readonly kind: 'management-restart';
      readonly work: 'lost' | 'hypervisor-only' | 'completed';
      readonly stuck: boolean;
      readonly ms: number;
    }
  | { readonly kind: 'device-vanishes'; readonly volume: number }
  | { readonly kind: 'guest-unreadable'; readonly ms: number }
  | { readonly kind: 'mapping-deleted'; readonly volume: number }
  | { readonly kind: 'export-server-away'; readonly ms: number }
  | { readonly kind: 'ambiguity'; readonly what: Ambiguity }
  /** By so many bytes more; in the guest `guestMs` later, null: not until the disk is plugged anew. */
  | {
      readonly kind: 'resized';
      readonly volume: number;
      readonly moreBytes: number;
      readonly guestMs: number | null;
    }
  /** This system uses the disk of a volume for `ms`, null: from then on. */
  | { readonly kind: 'used'; readonly volume: number; readonly by: Holder; readonly ms: number | null }
  /** Somebody moves a volume: to this guest, to the other VM, to none, or out and back where it was. */
  | {
      readonly kind: 'by-hand';
      readonly volume: number;
      readonly to: 'here' | 'elsewhere' | 'nowhere' | 'back';
    }
  /** Somebody plugs a volume that nobody names into this guest for `ms`, null: for good. */
  | { readonly kind: 'visitor'; readonly bytes: number; readonly ms: number | null }
  /** Until the next boot. */
  | {
      readonly kind: 'serial-muted';
      readonly volume: number;
      readonly becomes: 'unreadable' | 'absent';
    }
  /** Another program writes a row of a volume that has none, which says nothing but that it is this disk. */
  | { readonly kind: 'row-written'; readonly volume: number; readonly letter: number }
  /** Mappings and exports are what they were, `ms` later. */
  | { readonly kind: 'rows-restored'; readonly ms: number }
  /** The appliance is stopped and started: its disks are those that CloudStack has for it. */
  | { readonly kind: 'cold-start'; readonly ms: number }
  | { readonly kind: 'administrator'; readonly does: Administration }
  | { readonly kind: 'snapshot-hidden'; readonly which: number; readonly ms: number }
  | { readonly kind: 'row-spoilt'; readonly row: SpoiltRow };

/** What an administrator does in CloudStack, past the daemon. */
export type Administration =
  /** `recoverMs`: put into the trash, and brought back so much later; null: expunged. */
  | { readonly kind: 'deletes'; readonly volume: number; readonly recoverMs: number | null }
  /** To another storage, which takes `ms`. */
  | { readonly kind: 'migrates'; readonly volume: number; readonly ms: number }
  /** The other VM. */
  | { readonly kind: 'stops' }
  | { readonly kind: 'starts' }
  | { readonly kind: 'destroys'; readonly expunge: boolean }
  /** None: for so long lists leave the volume out, and it is shown by its id. */
  | { readonly kind: 'unlisted'; readonly volume: number; readonly ms: number };

/** The row of an operation that is open then, and how a person decides about it in the end. */
export interface SpoiltRow {
  readonly which: number;
  /** What of it is not understood; `poison`: it ends whoever works on it. */
  readonly how: 'journal' | 'type' | 'request' | 'poison';
  readonly release: 'retry' | 'abandon';
}

/** What makes CloudStack's answers mean less than they seem to, and what other people do. */
export type Ambiguity =
  | {
      readonly kind: 'hidden';
      readonly of: 'volume' | 'other-vm' | 'appliance' | 'account';
      readonly volume: number;
      readonly ms: number;
    }
  | {
      readonly kind: 'lockout';
      readonly how: 'database-away' | 'user-disabled';
      readonly ms: number;
      readonly delayMs: number;
    }
  | { readonly kind: 'namesake'; readonly name: string; readonly bytes: number }
  | { readonly kind: 'moved-by-hand'; readonly volume: number }
  | { readonly kind: 'other-vm-runs' };

export type Item = { readonly at: number } & ({ readonly ask: Ask } | { readonly mishap: Mishap });

/** Every disk tells, and tells one volume from all others. */
export function allTellSerials({ serials, serialsFrom, twins }: Script['world']): boolean {
  return serials && serialsFrom === undefined && twins !== true;
}

/** Everything about a schedule that is not decided while it runs. */
export interface Script {
  readonly seed: number;
  readonly world: {
    readonly volumes: number;
    /** All of one size, so that only serial or time can tell them apart. */
    readonly equalSizes: boolean;
    readonly serials: boolean;
    readonly slowSerials: boolean;
    /** Disks that were plugged before have none; virtual ms. */
    readonly serialsFrom?: number;
    /** The ids of the first two volumes begin alike, and so do the serials of their disks. */
    readonly twins?: boolean;
    readonly daemons: 1 | 2;
    readonly rollback: 'detach' | 'keep';
    readonly exports: boolean;
    /** Volumes are deleted into CloudStack's trash. */
    readonly trash?: boolean;
    /** Volumes that have never been attached have no storage yet. */
    readonly unused?: boolean;
    /** Volumes on the other VM at the beginning. */
    readonly elsewhere: number;
    readonly otherVmRuns: boolean;
    /** The other VM is an appliance, whose daemon runs until then; virtual ms, null: for ever. */
    readonly neighbour?: { readonly until: number | null };
    /**
     * The management servers that answer lists, by how old what they show is, in ms; without them it is what
     * is.
     */
    readonly serverLagsMs?: readonly number[];
    /** Of the guest; `shown`: the daemon can see how many are free. Without it any number of disks fits. */
    readonly slots?: { readonly count: number; readonly shown: boolean; readonly wait: boolean };
  };
  readonly items: readonly Item[];
}
