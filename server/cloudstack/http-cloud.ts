import { z } from 'zod';
import type { Clock } from '../core/clock';
import { LIMITS } from '../core/limits';
import type { Logger } from '../core/log/logger';
import { absent, type Evidence, seen, unknown } from '../model/evidence';
import {
  type Cloud,
  type CloudCapabilities,
  type CloudCommand,
  type CloudDiskOffering,
  CloudError,
  type CloudJob,
  type CloudVm,
  type CloudVolume,
  type CloudZone,
} from './cloud';
import { badAnswer, cleanText, largestPage, saysJobIdTaken, saysNoSuchEntity, saysRemoved } from './errors';
import * as parse from './parse';
import type { ActiveSettings, CloudSettings } from './settings';
import { type Parameters, signedForm } from './signing';
import { post, type WireBody } from './transport';

/** Told of every call, for metrics. */
export type CloudCallListener = (call: { command: string; ms: number; error: CloudError | null }) => void;

interface CloudParts {
  readonly settings: CloudSettings;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onCall?: CloudCallListener;
}

export interface CallStatistics {
  readonly calls: number;
  readonly errors: number;
  /** Server clock minus ours, ms, from the last answer; null before one. More than some minutes means 401 on everything. */
  readonly clockSkewMs: number | null;
}

const UUID_LENGTH = 36;

const NOT_SHOWN =
  'CloudStack does not show it to this key: it was removed, or belongs to a project or another account';

interface Identified {
  readonly id: string;
}

/** The CloudStack port over HTTP. Every call is a signed POST: it works on every version and keeps keys out of URLs and access logs. */
export class HttpCloud implements Cloud {
  private calls = 0;
  private errors = 0;
  private clockSkewMs: number | null = null;
  /** `default.page.size` of the server may be smaller than what we ask for first. */
  private pageSize: number = LIMITS.CLOUDSTACK_PAGE_SIZE;

  constructor(private readonly parts: CloudParts) {}

  statistics(): CallStatistics {
    return { calls: this.calls, errors: this.errors, clockSkewMs: this.clockSkewMs };
  }

  async capabilities(): Promise<CloudCapabilities> {
    return this.parsed('listCapabilities', parse.capabilities, await this.call('listCapabilities', {}));
  }

  async readVolume(id: string): Promise<Evidence<CloudVolume>> {
    const volume = await this.lookUp('listVolumes', parse.VOLUME, id, {});
    // Expunged rows linger for administrators: the volume is gone all the same.
    if (volume.kind === 'seen' && volume.value.state === 'Expunged')
      return absent('CloudStack says that it is Expunged', volume.at, 'cloudstack');
    return volume;
  }

  listVolumes(filter: { name?: string; zoneId?: string; vmId?: string }): Promise<CloudVolume[]> {
    return this.listAll('listVolumes', parse.VOLUME, {
      ...(filter.name === undefined ? {} : { name: filter.name }),
      ...(filter.zoneId === undefined ? {} : { zoneid: filter.zoneId }),
      ...(filter.vmId === undefined ? {} : { virtualmachineid: filter.vmId }),
    });
  }

  readVm(id: string): Promise<Evidence<CloudVm>> {
    return this.lookUp('listVirtualMachines', parse.VM, id, { details: 'min' });
  }

  /** By id, or by name: the hub stores either in ossea_configs.zone. */
  async readZone(id: string): Promise<CloudZone | null> {
    const zones =
      id.length === UUID_LENGTH
        ? await this.findById('listZones', parse.ZONE, id, {})
        : await this.listZones();
    return zones.find((zone) => zone.id === id.toLowerCase() || zone.name === id) ?? null;
  }

  async readDiskOffering(id: string): Promise<CloudDiskOffering | null> {
    const [offering] = await this.findById('listDiskOfferings', parse.DISK_OFFERING, id, {});
    return offering ?? null;
  }

  listZones(): Promise<CloudZone[]> {
    return this.listAll('listZones', parse.ZONE, { available: 'true' });
  }

  listDiskOfferings(): Promise<CloudDiskOffering[]> {
    return this.listAll('listDiskOfferings', parse.DISK_OFFERING, {});
  }

  /** The names of the commands that our key may call. Throws CloudError `unsupported` or `parameter` where that plug-in is switched off. */
  async allowedCommands(): Promise<ReadonlySet<string>> {
    const items = this.items('listApis', parse.API, await this.call('listApis', {}));
    return new Set(items.map(({ name }) => name));
  }

  async submit(command: CloudCommand, jobId: string): Promise<{ jobId: string; volumeId: string | null }> {
    const { name, parameters } = wireCommand(command);
    try {
      const answer = this.parsed(
        name,
        parse.accepted,
        await this.call(name, { ...parameters, customjobid: jobId }),
      );
      const volumeId = command.name === 'createVolume' && answer.id ? answer.id.toLowerCase() : null;
      return { jobId: answer.jobid, volumeId };
    } catch (error) {
      // For createVolume the volume row is made before the job id is checked, so "taken" must be looked at by the caller.
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

  async deleteVolume(id: string): Promise<'deleted' | 'gone'> {
    try {
      const answer = await this.call('deleteVolume', { id }, LIMITS.CLOUDSTACK_DELETE_TIMEOUT_MS);
      const { success, displaytext } = this.parsed('deleteVolume', parse.success, answer);
      if (success) return 'deleted';
      const reason = cleanText(displaytext ?? 'no reason given');
      throw new CloudError(`CloudStack did not delete the volume: ${reason}`, {
        kind: 'internal',
        outcome: 'unknown',
        text: reason,
      });
    } catch (error) {
      if (error instanceof CloudError && saysRemoved(error.text, 'Volume')) return 'gone';
      throw error;
    }
  }

  async recoverVolume(id: string): Promise<void> {
    await this.call('recoverVolume', { id });
  }

  async queryJob(jobId: string): Promise<CloudJob | null> {
    try {
      const job = this.parsed(
        'queryAsyncJobResult',
        parse.job,
        await this.call('queryAsyncJobResult', { jobid: jobId }),
      );
      return { ...job, errorText: job.errorText === null ? null : cleanText(job.errorText) };
    } catch (error) {
      if (error instanceof CloudError && saysNoSuchEntity(error, 'jobid', jobId)) return null;
      throw error;
    }
  }

  /** One object by its id. What CloudStack denies to have is absent; what it merely does not show is unknown. */
  private async lookUp<T extends Identified>(
    command: string,
    item: parse.ListItem<T>,
    id: string,
    more: Parameters,
  ): Promise<Evidence<T>> {
    const { clock } = this.parts;
    try {
      const items = this.items(command, item, await this.call(command, { ...more, id, listall: 'true' }));
      const found = items.find((candidate) => candidate.id === id.toLowerCase());
      return found ? seen(found, clock.now(), 'cloudstack') : unknown(NOT_SHOWN, clock.now(), 'cloudstack');
    } catch (error) {
      if (error instanceof CloudError && saysNoSuchEntity(error, 'id', id))
        return absent('CloudStack says that this id names nothing', clock.now(), 'cloudstack');
      throw error;
    }
  }

  private async findById<T>(
    command: string,
    item: parse.ListItem<T>,
    id: string,
    more: Parameters,
  ): Promise<T[]> {
    try {
      return this.items(command, item, await this.call(command, { ...more, id, listall: 'true' }));
    } catch (error) {
      if (error instanceof CloudError && saysNoSuchEntity(error, 'id', id)) return [];
      throw error;
    }
  }

  private async listAll<T extends Identified>(
    command: string,
    item: parse.ListItem<T>,
    parameters: Parameters,
  ): Promise<T[]> {
    try {
      return await this.allPages(command, item, parameters, this.pageSize);
    } catch (error) {
      const most = error instanceof CloudError ? largestPage(error) : null;
      if (most === null || most >= LIMITS.CLOUDSTACK_PAGE_SIZE) throw error;
      this.pageSize = most;
      return this.allPages(command, item, parameters, most);
    }
  }

  /** What is made or deleted between two pages moves the others by one: nothing is listed twice. */
  private async allPages<T extends Identified>(
    command: string,
    item: parse.ListItem<T>,
    parameters: Parameters,
    pageSize: number,
  ): Promise<T[]> {
    const all = new Map<string, T>();
    for (let page = 1; page <= LIMITS.CLOUDSTACK_PAGES; page += 1) {
      const shown = { ...parameters, listall: 'true', page: String(page), pagesize: String(pageSize) };
      const items = this.items(command, item, await this.call(command, shown));
      for (const one of items) all.set(one.id, one);
      if (items.length < pageSize) return [...all.values()];
    }
    throw badAnswer(command, 200, `there are more than ${LIMITS.CLOUDSTACK_PAGES} pages`);
  }

  /** An empty list is `{}`; a page past the end is a count without an array. */
  private items<T>(command: string, item: parse.ListItem<T>, body: WireBody): T[] {
    return this.parsed(command, z.array(item.schema), body[item.key] ?? []);
  }

  private parsed<T>(command: string, schema: z.ZodType<T>, body: unknown): T {
    const result = schema.safeParse(body);
    if (result.success) return result.data;
    throw badAnswer(command, 200, `unexpected content: ${cleanText(z.prettifyError(result.error))}`);
  }

  /** One call. A 401 reads the configuration again and repeats the call once when the credentials have changed. */
  private async call(
    command: string,
    parameters: Parameters,
    timeout: number = LIMITS.CLOUDSTACK_TIMEOUT_MS,
  ): Promise<WireBody> {
    const settings = await this.parts.settings.require();
    try {
      return await this.send(settings, command, parameters, timeout);
    } catch (error) {
      if (!(error instanceof CloudError) || error.kind !== 'authentication') throw error;
      const fresh = await this.parts.settings.reload();
      const changed =
        fresh !== null &&
        (fresh.apiKey !== settings.apiKey ||
          fresh.secretKey !== settings.secretKey ||
          fresh.endpoint !== settings.endpoint);
      if (changed) return this.send(fresh, command, parameters, timeout);
      throw this.explain(error);
    }
  }

  private async send(
    settings: ActiveSettings,
    command: string,
    parameters: Parameters,
    timeout: number,
  ): Promise<WireBody> {
    const { clock } = this.parts;
    const begun = clock.monotonic();
    this.calls += 1;
    let failure: CloudError | null = null;
    try {
      const form = signedForm(command, parameters, settings, clock.now(), LIMITS.SIGNATURE_LIFETIME_MS);
      const onServerTime = (at: number) => {
        this.clockSkewMs = at - clock.now();
      };
      return await post({ endpoint: settings.endpoint, command, form, timeout, onServerTime });
    } catch (error) {
      this.errors += 1;
      failure = error instanceof CloudError ? error : null;
      throw error;
    } finally {
      const ms = clock.monotonic() - begun;
      this.parts.onCall?.({ command, ms, error: failure });
      this.parts.logger.debug('CloudStack call', {
        command,
        ms: Math.round(ms),
        outcome: failure ? failure.message : 'ok',
      });
    }
  }

  /** 401 has many causes; the reader gets all that can be checked from here. */
  private explain(error: CloudError): CloudError {
    const skew =
      this.clockSkewMs === null || Math.abs(this.clockSkewMs) < 60_000
        ? ''
        : ` The clocks differ by ${Math.round(this.clockSkewMs / 1000)} s.`;
    const hint = `${error.message}. If it lasts: check api_key and secret_key in ossea_configs, the clock of this machine, the allowed source addresses, and whether CloudStack can read its own database.${skew}`;
    return new CloudError(hint, {
      kind: 'authentication',
      outcome: 'not-started',
      httpStatus: error.httpStatus,
      code: error.code,
      csCode: error.csCode,
      text: error.text,
      cause: error,
    });
  }
}

export function createCloud(parts: CloudParts): HttpCloud {
  return new HttpCloud(parts);
}

function wireCommand(command: CloudCommand): { name: string; parameters: Parameters } {
  switch (command.name) {
    case 'createVolume':
      return {
        name: command.name,
        parameters: {
          name: command.volumeName,
          zoneid: command.zoneId,
          diskofferingid: command.diskOfferingId,
          ...(command.sizeGiB === null ? {} : { size: String(command.sizeGiB) }),
        },
      };
    case 'attachVolume':
      return {
        name: command.name,
        parameters: {
          id: command.volumeId,
          virtualmachineid: command.vmId,
          ...(command.deviceId === null ? {} : { deviceid: String(command.deviceId) }),
        },
      };
    case 'detachVolume':
      return { name: command.name, parameters: { id: command.volumeId } };
    case 'destroyVolume':
      return { name: command.name, parameters: { id: command.volumeId, expunge: String(command.expunge) } };
    case 'stopVirtualMachine':
      return { name: command.name, parameters: { id: command.vmId, forced: String(command.forced) } };
    case 'destroyVirtualMachine':
      return { name: command.name, parameters: { id: command.vmId, expunge: String(command.expunge) } };
    default:
      return command satisfies never;
  }
}
