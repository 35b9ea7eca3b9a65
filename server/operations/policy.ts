/** What the settings of operations may be set to (docs/reference/configuration.md says what each does). */
export const POLICY_CHOICES = {
  attachRollback: ['detach', 'keep'],
  detachInUse: ['refuse', 'force'],
  detachConnected: ['when-idle', 'refuse', 'disconnect'],
  /** An attach to this VM when it is full. */
  slots: ['refuse', 'wait'],
  volumeNames: ['warn', 'unique', 'any'],
  /** trash: a delete destroys without expunging, so that the volume can be recovered. */
  deleteMode: ['expunge', 'trash'],
} as const;

type Choices = { readonly [K in keyof typeof POLICY_CHOICES]: (typeof POLICY_CHOICES)[K][number] };

/** The settings that decisions depend on, and which VM this is. */
export interface Policy extends Choices {
  /** CloudStack id of this VM, null while unknown. */
  readonly applianceVmId: string | null;
  /** False with NBD_BACKEND=none. */
  readonly exportsEnabled: boolean;
  readonly correlationTimeoutMs: number;
  /** How long CloudStack must deny knowing a job before it counts as never accepted. */
  readonly jobLostAfterMs: number;
}
