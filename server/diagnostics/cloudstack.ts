import { type CloudCapabilities, CloudError } from '../cloudstack/cloud';
import type { ActiveSettings } from '../cloudstack/settings';
import type { Clock } from '../core/clock';
import { messageOf } from '../core/errors';
import { LIMITS } from '../core/limits';
import type { CloudReport, CommandReport } from './reports';

/** What the check asks CloudStack. */
export interface DiagnosticCloud {
  capabilities(): Promise<CloudCapabilities>;
  /** The names of the commands that our key may call (listApis). */
  allowedCommands(): Promise<ReadonlySet<string>>;
  statistics(): { readonly clockSkewMs: number | null };
}

/** Every command the daemon sends, and what it would lack without it. */
const COMMANDS: readonly Omit<CommandReport, 'allowed'>[] = [
  { name: 'listCapabilities', purpose: 'health' },
  { name: 'listVolumes', purpose: 'every operation, sync' },
  { name: 'listVirtualMachines', purpose: 'every attach, the identity of the appliance' },
  { name: 'listZones', purpose: 'create' },
  { name: 'listDiskOfferings', purpose: 'create' },
  { name: 'createVolume', purpose: 'create' },
  { name: 'attachVolume', purpose: 'attach, cleanup' },
  { name: 'detachVolume', purpose: 'detach, delete, cleanup' },
  { name: 'deleteVolume', purpose: 'delete' },
  { name: 'queryAsyncJobResult', purpose: 'every operation' },
  { name: 'stopVirtualMachine', purpose: 'cleanup with force_clean' },
  { name: 'destroyVirtualMachine', purpose: 'cleanup with delete_vm' },
];

/** Never throws: what fails is what the reader wants to know. */
export async function checkCloudstack(parts: {
  readonly cloud: DiagnosticCloud;
  readonly clock: Clock;
  readonly settings: () => Promise<ActiveSettings | null>;
  readonly appliance: CloudReport['appliance'];
}): Promise<CloudReport> {
  const { cloud, clock, appliance } = parts;
  const problems: string[] = [];
  const noted = <T>(work: Promise<T>): Promise<T | null> =>
    work.catch((error: unknown) => {
      problems.push(messageOf(error));
      return null;
    });
  const settings = await noted(parts.settings());
  const begun = clock.monotonic();
  const capabilities = await noted(cloud.capabilities());
  const roundTrip = capabilities === null ? null : clock.monotonic() - begun;
  const allowed = capabilities === null ? null : await listed(cloud, problems);
  const commands = COMMANDS.map((command) => ({ ...command, allowed: allowed?.has(command.name) ?? null }));
  for (const { name, purpose } of commands.filter((command) => command.allowed === false))
    problems.push(`the role of the key does not allow ${name} (needed for: ${purpose})`);
  const { clockSkewMs } = cloud.statistics();
  if (clockSkewMs !== null && Math.abs(clockSkewMs) > LIMITS.CLOCK_SKEW_WARN_MS)
    problems.push(
      `the clocks differ by ${Math.round(clockSkewMs / 1000)} s: more than ${LIMITS.SIGNATURE_LIFETIME_MS / 60_000} minutes make every call a 401`,
    );
  if (appliance.verdict === 'refuted')
    problems.push(`CloudStack has no VM ${appliance.vmId ?? ''} (this appliance)`);
  return {
    ok: problems.length === 0,
    problems,
    configuration: settings?.name ?? null,
    endpoint: settings?.endpoint ?? null,
    version: capabilities?.version ?? null,
    roundTrip,
    clockSkew: clockSkewMs,
    appliance,
    commands,
  };
}

/** null when CloudStack does not tell: the plug-in that answers listApis may be switched off, and that is no fault of the key. */
async function listed(cloud: DiagnosticCloud, problems: string[]): Promise<ReadonlySet<string> | null> {
  try {
    return await cloud.allowedCommands();
  } catch (error) {
    if (!(error instanceof CloudError) || error.kind === 'network') problems.push(messageOf(error));
    return null;
  }
}
