import { type Cloud, type CloudCapabilities, CloudError, type CloudVm, sameOwner } from '../cloudstack/cloud';
import { ownerText } from '../cloudstack/owner';
import type { ActiveSettings } from '../cloudstack/settings';
import { skewText } from '../cloudstack/wire/clock-skew';
import type { SkewSource } from '../cloudstack/wire/server-clock';
import type { Clock } from '../core/clock';
import { messageOf } from '../core/errors';
import { LIMITS } from '../core/limits';
import type { Evidence } from '../model/evidence';
import type { Policy } from '../operations/policy';
import { neededCommands, rightsOf } from './needs';
import type { CloudReport } from './reports';

/** What the check asks CloudStack. */
export interface DiagnosticCloud
  extends Pick<Cloud, 'capabilities' | 'newVolumeOwner' | 'readVm' | 'listZones' | 'listDiskOfferings'> {
  /** The names of the commands that the key may call (listApis). */
  allowedCommands(): Promise<ReadonlySet<string>>;
  statistics(): { readonly clockSkewMs: number | null; readonly clockSkewSource: SkewSource | null };
  /** Measures CloudStack's clock when its answers have no Date header, at most once a minute. */
  measureClock(): Promise<void>;
}

interface CheckParts {
  readonly cloud: DiagnosticCloud;
  readonly clock: Clock;
  readonly settings: () => Promise<ActiveSettings | null>;
  readonly deleteMode: Policy['deleteMode'];
  readonly appliance: {
    readonly vmId: string | null;
    readonly verdict: string;
    readonly conflicts: readonly string[];
    readonly contradicted: string | null;
  };
}

/**
 * Tries what operations will need and reports what will not work. Never throws: failures are part of the
 * report.
 */
export async function checkCloudstack(parts: CheckParts): Promise<CloudReport> {
  const { cloud, clock, appliance, deleteMode } = parts;
  const problems: string[] = [];
  const noted = <T>(work: Promise<T>): Promise<T | null> =>
    work.catch((error: unknown) => {
      problems.push(messageOf(error));
      return null;
    });
  const settings = await noted(parts.settings());
  if (settings !== null && settings.activeRows > 1)
    problems.push(
      `${settings.activeRows} rows of ossea_configs are active; this daemon uses the newest, ${settings.name}: set is_active = 0 in the others, which other programs may use`,
    );
  const begun = clock.monotonic();
  const capabilities = await noted(cloud.capabilities());
  const roundTripMs = capabilities === null ? null : clock.monotonic() - begun;
  // A 401 has made the client measure already.
  if (capabilities !== null) await noted(cloud.measureClock());
  const allowed = capabilities === null ? null : await listed(cloud, problems);
  const commands = neededCommands(deleteMode, allowed);
  for (const { name, purpose } of commands.filter((command) => command.allowed === false))
    problems.push(`the role of the key does not allow ${name} (needed for: ${purpose})`);
  const rights = rightsOf(capabilities, allowed);
  if (deleteMode === 'trash' && capabilities?.mayExpungeVolumes === false)
    problems.push('the key may not recover volumes, so DELETE_MODE=trash cannot be undone with it');
  if (settings !== null && capabilities !== null)
    problems.push(...((await noted(unknownToCloudstack(cloud, settings))) ?? []));
  const { clockSkewMs, clockSkewSource } = cloud.statistics();
  if (clockSkewMs !== null && Math.abs(clockSkewMs) > LIMITS.CLOCK_SKEW_WARN_MS)
    problems.push(`${skewText(clockSkewMs)}: set it right; until then requests are signed by CloudStack's`);
  const { verdict, applianceOwner, newVolumes } = await ownersOf(parts, settings, capabilities, problems);
  return {
    ok: problems.length === 0,
    // What is away for one question is away for the next, in the same words.
    problems: [...new Set(problems)],
    configuration: settings?.name ?? null,
    endpoint: settings?.endpoint ?? null,
    version: capabilities?.version ?? null,
    roundTripMs,
    clockSkewMs,
    clockSkewSource,
    appliance: { vmId: appliance.vmId, verdict, owner: applianceOwner },
    newVolumes,
    rights,
    commands,
  };
}

/**
 * The zone and the disk offering of the active row, by which callers create volumes: with one that CloudStack
 * does not have every create of theirs fails.
 */
async function unknownToCloudstack(
  cloud: DiagnosticCloud,
  { zone, diskOfferingId }: ActiveSettings,
): Promise<string[]> {
  const problems: string[] = [];
  const zones = zone === null ? [] : await cloud.listZones();
  if (zone !== null && !zones.some(({ id, name }) => id === zone.toLowerCase() || name === zone))
    problems.push(
      `ossea_configs.zone is ${JSON.stringify(zone)}, which is no zone of this key: volumectl check zones lists them`,
    );
  const offerings = diskOfferingId === null ? [] : await cloud.listDiskOfferings();
  if (diskOfferingId !== null && !offerings.some(({ id }) => id === diskOfferingId.toLowerCase()))
    problems.push(
      `ossea_configs.disk_offering_id is ${JSON.stringify(diskOfferingId)}, which is no disk offering of this key: volumectl check offerings lists them`,
    );
  return problems;
}

type Belongings = Pick<CloudReport, 'newVolumes'> & {
  readonly verdict: string;
  readonly applianceOwner: CloudReport['appliance']['owner'];
};

/**
 * The owners of this appliance and of new volumes: a volume of another owner cannot be attached to the
 * appliance.
 */
async function ownersOf(
  { cloud, appliance }: CheckParts,
  settings: ActiveSettings | null,
  capabilities: CloudCapabilities | null,
  problems: string[],
): Promise<Belongings> {
  problems.push(...appliance.conflicts);
  const nothing = {
    verdict: appliance.verdict,
    applianceOwner: null,
    newVolumes: { owner: null, from: null },
  };
  const { vmId } = appliance;
  if (vmId === null)
    problems.push(
      `it is not known which VM this is: ${appliance.contradicted ?? 'set OMA_VM_ID or ossea_configs.oma_vm_id'}`,
    );
  if (capabilities === null) return nothing;
  try {
    const vm = vmId === null ? null : await cloud.readVm(vmId);
    if (vm !== null) problems.push(...visibility(vm, vmId ?? ''));
    const applianceOwner = vm?.kind === 'seen' ? vm.value.owner : null;
    const owner = await cloud.newVolumeOwner(applianceOwner);
    if (owner && applianceOwner && !sameOwner(owner, applianceOwner))
      problems.push(
        `new volumes are made for ${ownerText(owner)} (${settings?.ownerSource ?? 'configured'}), but this appliance belongs to ${ownerText(applianceOwner)}: they cannot be attached to it`,
      );
    const from = owner === null ? 'key' : (settings?.ownerSource ?? 'appliance');
    return { verdict: verdictOf(vm, appliance.verdict), applianceOwner, newVolumes: { owner, from } };
  } catch (error) {
    problems.push(messageOf(error));
    return nothing;
  }
}

function visibility(vm: Evidence<CloudVm>, vmId: string): string[] {
  switch (vm.kind) {
    case 'seen':
      return [];
    case 'absent':
      return [`CloudStack has no VM ${vmId} (this appliance): ${vm.proof}`];
    case 'unknown':
      return [
        `the key does not see VM ${vmId} (this appliance): ${vm.why}; attach and detach are refused. Use a key of its account, or a member of its project`,
      ];
    default:
      return vm satisfies never;
  }
}

function verdictOf(vm: Evidence<CloudVm> | null, before: string): string {
  if (vm === null) return before;
  return { seen: 'confirmed', absent: 'refuted', unknown: 'not-visible' }[vm.kind];
}

/**
 * null when CloudStack does not tell: the plug-in behind listApis may be switched off, which is not the key's
 * fault.
 */
async function listed(cloud: DiagnosticCloud, problems: string[]): Promise<ReadonlySet<string> | null> {
  try {
    return await cloud.allowedCommands();
  } catch (error) {
    if (!(error instanceof CloudError) || error.kind === 'network') problems.push(messageOf(error));
    return null;
  }
}
