/** A disk as the hypervisor plugs it. */
export interface Disk {
  readonly volumeId: string;
  /** Bytes. */
  readonly size: number;
  /** '' when the hypervisor sets none. */
  readonly serial: string;
}

/**
 * The guest that the simulated CloudStack plugs disks into. Plugging and unplugging resolve when the guest
 * has done it; a guest may refuse or never finish an unplug, and CloudStack's job then fails as the real one
 * does. Unplugging a disk that is not there is no error, as on KVM.
 */
export interface SimulatedGuest {
  plug(disk: Disk): Promise<void>;
  unplug(volumeId: string): Promise<void>;
  /** Bytes. */
  resize(volumeId: string, size: number): Promise<void>;
  /** Volumes whose disk is plugged right now, the root disk not among them. */
  plugged(): readonly string[];
}

/** For a CloudStack whose appliance nobody looks into. */
export const NO_GUEST: SimulatedGuest = {
  plug: async () => {},
  unplug: async () => {},
  resize: async () => {},
  plugged: () => [],
};

/** What every simulated guest runs from. */
export const ROOT_DISK: Disk = {
  volumeId: '00000000-0000-4000-8000-000000000000',
  size: 8 * 1024 ** 3,
  serial: '00000000000040008000',
};
