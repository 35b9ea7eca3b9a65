import { SharedReads } from '../core/concurrency/shared-reads';
import { messageOf } from '../core/errors';
import { isUuid } from '../core/is-uuid';
import { LIMITS } from '../core/limits';
import { absent, type Evidence, seen, unknown } from '../model/evidence';
import {
  type Cloud,
  type CloudAccepted,
  type CloudCapabilities,
  type CloudCommand,
  type CloudDiskOffering,
  CloudError,
  type CloudJob,
  type CloudOwner,
  type CloudSnapshot,
  type CloudVm,
  type CloudVolume,
  type CloudZone,
  type Departure,
  type VolumeListFilter,
} from './cloud';
import { badAnswer, cleanText, saysJobIdTaken, saysNoSuchEntity, saysRemoved } from './errors';
import type { ActiveSettings } from './settings';
import { Lists } from './wire/lists';
import * as parse from './wire/parse';
import { type CallParts, type CallStatistics, SignedCalls } from './wire/signed-calls';
import { wireCommand } from './wire/wire-command';

/**
 * The CloudStack port over HTTP. Every call is a signed POST: it works on every version and keeps keys out of
 * URLs and access logs.
 */
export class HttpCloud implements Cloud {
  private readonly calls: SignedCalls;
  private readonly lists: Lists;
  /** Whether a key is an administrator's, once known, and until when that counts (monotonic ms). */
  private administrator: { readonly apiKey: string; readonly is: boolean; readonly until: number } | null =
    null;
  /** By API key: what is being asked of it. */
  private readonly asking = new Map<string, Promise<boolean>>();
  /** The last answer to listApis was a 401. */
  private isListRefused = false;

  private readonly limits = new Map<string, { readonly limit: Evidence<number>; readonly until: number }>();

  // What many operations that begin at the same time ask for: two hundred creates name one
  // zone, offering and VM.
  private readonly vms: SharedReads<Evidence<CloudVm>>;
  private readonly zones: SharedReads<CloudZone | null>;
  private readonly offerings: SharedReads<CloudDiskOffering | null>;

  constructor(private readonly parts: CallParts) {
    const { clock } = parts;
    this.calls = new SignedCalls(parts);
    this.lists = new Lists(this.calls, clock);
    this.vms = new SharedReads(clock, (id) => this.lists.lookUp(parse.VM, id, { details: 'min' }));
    this.zones = new SharedReads(clock, (id) => this.askForZone(id));
    this.offerings = new SharedReads(clock, (id) => this.askForOffering(id));
  }

  statistics(): CallStatistics {
    return this.calls.statistics();
  }

  clockSkewMs(): number | null {
    return this.calls.statistics().clockSkewMs;
  }

  /**
   * Measures CloudStack's clock when its answers have no Date header, at most once a minute. Throws
   * CloudError without a configuration.
   */
  measureClock(): Promise<void> {
    return this.calls.measureClock();
  }

  async capabilities(): Promise<CloudCapabilities> {
    return parse.content(
      'listCapabilities',
      parse.capabilities,
      await this.calls.call('listCapabilities', {}),
    );
  }

  async readVolume(id: string): Promise<Evidence<CloudVolume>> {
    const volume = await this.lists.lookUp(parse.VOLUME, id, {});
    // Administrators still see expunged volumes, which are gone.
    if (volume.kind === 'seen' && volume.value.state === 'Expunged')
      return absent('CloudStack says that it is Expunged', volume.at, 'cloudstack');
    return volume;
  }

  listVolumes({ name, zoneId, vmId, isWhole = false }: VolumeListFilter): Promise<CloudVolume[]> {
    const filter = {
      ...(name === undefined ? {} : { name }),
      ...(zoneId === undefined ? {} : { zoneid: zoneId }),
      ...(vmId === undefined ? {} : { virtualmachineid: vmId }),
    };
    return this.lists.ofOwners(parse.VOLUME, filter, isWhole);
  }

  async readSnapshot(id: string): Promise<Evidence<CloudSnapshot>> {
    const snapshot = await this.lists.lookUp(parse.SNAPSHOT, id, {});
    if (snapshot.kind === 'seen' && snapshot.value.state === 'Destroyed')
      return absent('CloudStack says that it is Destroyed', snapshot.at, 'cloudstack');
    return snapshot;
  }

  async listSnapshots({ volumeId, name }: { volumeId: string; name?: string }): Promise<CloudSnapshot[]> {
    const named = name === undefined ? {} : { name };
    const listed = await this.lists.ofOwners(parse.SNAPSHOT, { volumeid: volumeId, ...named });
    return listed.filter((one) => one.volumeId === volumeId.toLowerCase() && one.state !== 'Destroyed');
  }

  readVm(id: string): Promise<Evidence<CloudVm>> {
    return this.vms.read(id);
  }

  async dataDiskLimit(vmId: string): Promise<Evidence<number>> {
    const { clock } = this.parts;
    const known = this.limits.get(vmId);
    if (known && clock.monotonic() < known.until) return known.limit;
    const remember = (limit: Evidence<number>) => {
      this.limits.set(vmId, { limit, until: clock.monotonic() + LIMITS.DISK_LIMIT_CACHE_MS });
      return limit;
    };
    try {
      return remember(await this.askForLimit(vmId));
    } catch (error) {
      const limit = unknown(messageOf(error), clock.now(), 'cloudstack');
      // A 401 is also what a user gets, who may never ask.
      const passes = error instanceof CloudError && error.transient && error.kind !== 'authentication';
      return passes ? limit : remember(limit);
    }
  }

  /**
   * Versions of a hypervisor may differ, and which one the host has is not shown: the largest limit counts,
   * because a limit that does not hold would refuse what CloudStack takes.
   */
  private async askForLimit(vmId: string): Promise<Evidence<number>> {
    const vm = await this.readVm(vmId);
    const at = this.parts.clock.now();
    if (vm.kind !== 'seen' || vm.value.hypervisor === null)
      return unknown('CloudStack does not say which hypervisor the VM has', at, 'cloudstack');
    const { hypervisor } = vm.value;
    const answer = await this.calls.call('listHypervisorCapabilities', { hypervisor });
    const entries = parse.items(parse.HYPERVISOR, answer);
    const limits = entries.flatMap(({ limit }) => limit ?? []);
    if (limits.length === 0) return unknown(`CloudStack has no limit for ${hypervisor}`, at, 'cloudstack');
    return seen(Math.max(...limits), at, 'cloudstack');
  }

  readZone(id: string): Promise<CloudZone | null> {
    return this.zones.read(id);
  }

  readDiskOffering(id: string): Promise<CloudDiskOffering | null> {
    return this.offerings.read(id);
  }

  /** By id, or by name: the hub stores either in ossea_configs.zone. */
  private async askForZone(id: string): Promise<CloudZone | null> {
    const zones = isUuid(id.toLowerCase()) ? await this.lists.byId(parse.ZONE, id) : await this.listZones();
    return zones.find((zone) => zone.id === id.toLowerCase() || zone.name === id) ?? null;
  }

  private async askForOffering(id: string): Promise<CloudDiskOffering | null> {
    const [offering] = await this.lists.byId(parse.DISK_OFFERING, id);
    return offering ?? null;
  }

  listZones(): Promise<CloudZone[]> {
    return this.lists.all(parse.ZONE, { available: 'true' });
  }

  listDiskOfferings(): Promise<CloudDiskOffering[]> {
    return this.lists.all(parse.DISK_OFFERING, {});
  }

  /**
   * The names of the commands that the key may call. Throws CloudError `unsupported`, `parameter` or
   * `authentication` where listApis is switched off.
   */
  async allowedCommands(): Promise<ReadonlySet<string>> {
    const items = parse.items(parse.API, await this.calls.call('listApis', {}));
    return new Set(items.map(({ name }) => name));
  }

  /**
   * The configured owner; else the appliance's project; else its account, which only an administrator's key
   * may name.
   */
  async newVolumeOwner(appliance: CloudOwner | null): Promise<CloudOwner | null> {
    const settings = await this.parts.settings.require();
    if (settings.owner !== null || appliance === null) return settings.owner;
    const { projectId, account, domainId } = appliance;
    if (projectId !== null) return { projectId, account: null, domainId: null };
    if (account === null || domainId === null) return null;
    return (await this.isAdministrator(settings)) ? { projectId, account, domainId } : null;
  }

  async submit(command: CloudCommand, jobId: string, departs?: Departure): Promise<CloudAccepted> {
    const { name, parameters } = wireCommand(command);
    try {
      const answer = parse.content(
        name,
        parse.accepted,
        await this.calls.call(name, { ...parameters, customjobid: jobId }, { departs }),
      );
      // An answer that names another job is that to another call, and so is the object that it names.
      const isOurs = answer.jobid.toLowerCase() === jobId.toLowerCase();
      const made = isOurs ? (answer.id?.toLowerCase() ?? null) : null;
      return {
        jobId: answer.jobid,
        volumeId: command.name === 'createVolume' ? made : null,
        snapshotId: command.name === 'createSnapshot' ? made : null,
      };
    } catch (error) {
      // CloudStack makes the row of a new volume or snapshot before it checks the job id, so the caller must
      // handle "taken".
      if (error instanceof CloudError && saysJobIdTaken(error, jobId)) {
        throw new CloudError(error.message, {
          kind: 'internal',
          outcome: 'taken',
          code: error.code,
          text: error.text,
          cause: error,
        });
      }
      throw error;
    }
  }

  async deleteVolume(id: string, departs?: Departure): Promise<'deleted' | 'gone'> {
    try {
      const sending = { timeoutMs: LIMITS.CLOUDSTACK_DELETE_TIMEOUT_MS, departs };
      const answer = await this.calls.call('deleteVolume', { id }, sending);
      const { success, displaytext } = parse.content('deleteVolume', parse.success, answer);
      if (success) return 'deleted';
      const reason = cleanText(displaytext ?? 'no reason given');
      throw new CloudError(`CloudStack did not delete the volume: ${reason}`, {
        kind: 'internal',
        outcome: 'unknown',
        text: reason,
      });
    } catch (error) {
      if (error instanceof CloudError && saysRemoved(error.text)) return 'gone';
      throw error;
    }
  }

  async recoverVolume(id: string, departs?: Departure): Promise<void> {
    await this.calls.call('recoverVolume', { id }, { departs });
  }

  async queryJob(jobId: string): Promise<CloudJob | null> {
    try {
      const job = parse.content(
        'queryAsyncJobResult',
        parse.job,
        await this.calls.call('queryAsyncJobResult', { jobid: jobId }),
      );
      if (job.jobId.toLowerCase() !== jobId.toLowerCase())
        throw badAnswer('queryAsyncJobResult', 200, `it is about job ${job.jobId}, not ${jobId}`);
      return { ...job, errorText: job.errorText === null ? null : cleanText(job.errorText) };
    } catch (error) {
      if (error instanceof CloudError && saysNoSuchEntity(error, 'jobid', jobId)) return null;
      throw error;
    }
  }

  /**
   * Whether the key is an administrator's, who may create for others. Its capabilities can show that it
   * is a user's; otherwise (a server may give every user the same) the list of its commands decides,
   * which is large and therefore read once an hour: a key may be given another role. All who ask at the
   * same time share the answer.
   */
  private async isAdministrator({ apiKey }: ActiveSettings): Promise<boolean> {
    const known = this.administrator;
    if (known?.apiKey === apiKey && this.parts.clock.monotonic() < known.until) return known.is;
    const asking =
      this.asking.get(apiKey) ?? this.askForRole(apiKey).finally(() => this.asking.delete(apiKey));
    this.asking.set(apiKey, asking);
    return asking;
  }

  private async askForRole(apiKey: string): Promise<boolean> {
    const { mayExpungeVms, seesDestroyedVms } = await this.capabilities();
    const is = mayExpungeVms !== false && seesDestroyedVms !== false ? await this.mayUpdateVolumes() : false;
    const until = this.parts.clock.monotonic() + LIMITS.ROLE_CACHE_MS;
    if (is !== null) this.administrator = { apiKey, is, until };
    // Where its list was read before there is listApis: a 401 to it alone takes nothing from an
    // administrator, whose volumes would belong to the account of the key.
    const known = this.administrator?.apiKey === apiKey && this.administrator.is;
    return is ?? known;
  }

  /**
   * The role of a user lacks updateVolume. Without listApis the key is taken for a user's, because naming an
   * owner would be refused. null: a 401 again, and only to this command. A server without listApis gives it,
   * and so does one that cannot read its own database at that moment, so it is believed this once.
   */
  private async mayUpdateVolumes(): Promise<boolean | null> {
    try {
      const allowed = (await this.allowedCommands()).has('updateVolume');
      this.isListRefused = false;
      return allowed;
    } catch (error) {
      if (!(error instanceof CloudError)) throw error;
      const wasRefused = this.isListRefused;
      this.isListRefused = error.kind === 'authentication';
      if (this.isListRefused && wasRefused) return null;
      if (error.transient) throw error;
      return false;
    }
  }
}

export function createCloud(parts: CallParts): HttpCloud {
  return new HttpCloud(parts);
}
