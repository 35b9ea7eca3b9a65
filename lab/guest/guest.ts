/** A disk as the hypervisor plugs it. */
export interface Disk {
  readonly volumeId: string;
  /** Bytes. */
  readonly size: number;
  /** '' when the hypervisor sets none. */
  readonly serial: string;
}

/**
 * The guest that the simulated CloudStack plugs disks into. Plugging and unplugging resolve when the guest has done it; a guest may
 * refuse or never finish an unplug, and CloudStack's job then fails as the real one does.
 */
export interface SimulatedGuest {
  plug(disk: Disk): Promise<void>;
  unplug(volumeId: string): Promise<void>;
  resize(volumeId: string, size: number): Promise<void>;
  /** Volumes whose disk is plugged right now. */
  plugged(): readonly string[];
}
