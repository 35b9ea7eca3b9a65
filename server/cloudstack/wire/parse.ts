import { z } from 'zod';
import type {
  CloudCapabilities,
  CloudDiskOffering,
  CloudJob,
  CloudOwner,
  CloudSnapshot,
  CloudVm,
  CloudVolume,
  CloudZone,
} from '../cloud';
import { badAnswer, cleanText } from '../errors';
import type { WireBody } from './transport';

/**
 * The fields that we read of CloudStack's answers, coerced, because their types differ between versions
 * (numbers as strings, ids as numbers, booleans as strings). Absent fields become null.
 */
/**
 * A UUID, also between blanks, which control characters become. What is longer, or could not stand in the
 * name of a file, names nothing.
 */
const id = z
  .union([z.string(), z.number()])
  .transform((value) => String(value).trim())
  .pipe(z.string().regex(/^[\w-]{1,64}$/, 'no id'));
const optionalId = id.nullish().transform((value) => value ?? null);
const text = z
  .union([z.string(), z.number()])
  .transform(String)
  .nullish()
  .transform((value) => value ?? null);
const number = z.coerce.number();
/**
 * How many, or which one. Null for what no CloudStack counts (less than nothing, a part, more than a number
 * holds exactly): such an answer does not say it.
 */
const whole = z
  .union([z.number(), z.string()])
  .nullish()
  .transform((value) => (value === '' ? null : Number(value ?? Number.NaN)))
  .transform((value) => (Number.isSafeInteger(value) && Number(value) >= 0 ? value : null));
/** A place on a VM's bus, of which no hypervisor has so many. */
const deviceId = whole.transform((value) => (value !== null && value > 65_535 ? null : value));
const boolean = z
  .union([z.boolean(), z.string()])
  .nullish()
  .transform((value) => value === true || value === 'true');
const optionalBoolean = z
  .union([z.boolean(), z.string()])
  .nullish()
  .transform((value) => (value === null || value === undefined ? null : value === true || value === 'true'));
/** `2024-11-04T09:00:00+0000` → RFC 3339 in UTC. */
const date = z
  .string()
  .nullish()
  .transform((value) => {
    const ms = Date.parse((value ?? '').replace(/([+-]\d\d)(\d\d)$/, '$1:$2'));
    return Number.isNaN(ms) ? null : new Date(ms).toISOString();
  });

/** `account` is absent on objects of a project. */
const owner = { account: text, domainid: text, projectid: text };
const ownerOf = (v: {
  account: string | null;
  domainid: string | null;
  projectid: string | null;
}): CloudOwner => ({ projectId: v.projectid, account: v.account, domainId: v.domainid });

const volume = z
  .object({
    id,
    name: text,
    type: text,
    state: text,
    size: whole,
    zoneid: text,
    zonename: text,
    virtualmachineid: optionalId,
    vmname: text,
    vmstate: text,
    deviceid: deviceId,
    created: date,
    attached: date,
    deleteprotection: boolean,
    ...owner,
  })
  .transform(
    (v): CloudVolume => ({
      id: v.id.toLowerCase(),
      name: v.name ?? '',
      // A VM runs from what is at its device 0, whatever the type of that volume.
      type: v.virtualmachineid !== null && v.deviceid === 0 ? 'ROOT' : (v.type ?? 'DATADISK'),
      state: v.state ?? 'Unknown',
      // No volume is empty: 0 is what a server shows that does not know.
      size: v.size || null,
      zoneId: v.zoneid,
      zoneName: v.zonename,
      vmId: v.virtualmachineid?.toLowerCase() ?? null,
      vmName: v.vmname,
      vmState: v.vmstate,
      deviceId: v.virtualmachineid === null ? null : v.deviceid,
      created: v.created,
      attached: v.attached,
      deleteProtection: v.deleteprotection,
      owner: ownerOf(v),
    }),
  );

const snapshot = z
  .object({
    id,
    name: text,
    volumeid: optionalId,
    state: text,
    virtualsize: whole,
    created: date,
    ...owner,
  })
  .transform(
    (v): CloudSnapshot => ({
      id: v.id.toLowerCase(),
      name: v.name ?? '',
      volumeId: v.volumeid?.toLowerCase() ?? null,
      state: v.state ?? 'Unknown',
      size: v.virtualsize || null,
      created: v.created,
      owner: ownerOf(v),
    }),
  );

const vm = z.object({ id, name: text, state: text, hypervisor: text, created: date, ...owner }).transform(
  (v): CloudVm => ({
    id: v.id.toLowerCase(),
    name: v.name ?? '',
    state: v.state ?? 'Unknown',
    hypervisor: v.hypervisor,
    created: v.created,
    owner: ownerOf(v),
  }),
);
const zone = z
  .object({ id, name: text, allocationstate: text })
  .transform(
    (v): CloudZone => ({ id: v.id.toLowerCase(), name: v.name ?? '', allocationState: v.allocationstate }),
  );
const offering = z.object({ id, name: text, iscustomized: boolean, disksize: whole }).transform(
  (v): CloudDiskOffering => ({
    id: v.id.toLowerCase(),
    name: v.name ?? '',
    customized: v.iscustomized,
    sizeGiB: v.disksize ?? 0,
  }),
);

/** A list command, the key of the array in its answer, and the shape of an item. */
export interface ListItem<T> {
  readonly command: string;
  readonly key: string;
  readonly schema: z.ZodType<T>;
}
export const VOLUME: ListItem<CloudVolume> = { command: 'listVolumes', key: 'volume', schema: volume };
export const SNAPSHOT: ListItem<CloudSnapshot> = {
  command: 'listSnapshots',
  key: 'snapshot',
  schema: snapshot,
};
export const VM: ListItem<CloudVm> = { command: 'listVirtualMachines', key: 'virtualmachine', schema: vm };
export const ZONE: ListItem<CloudZone> = { command: 'listZones', key: 'zone', schema: zone };
export const DISK_OFFERING: ListItem<CloudDiskOffering> = {
  command: 'listDiskOfferings',
  key: 'diskoffering',
  schema: offering,
};

/** Of a command's long description only the name is read. */
export const API: ListItem<{ name: string }> = {
  command: 'listApis',
  key: 'api',
  schema: z.object({ name: z.string() }),
};

/**
 * The items of a list's answer. An empty list is `{}`; a page past the end is a count without an array.
 * Throws CloudError.
 */
export function items<T>(item: ListItem<T>, body: WireBody): T[] {
  return content(item.command, z.array(item.schema), body[item.key] ?? []);
}

const counted = z.object({ count: whole }).transform(({ count }) => count);

/** How many items a list's answer says that there are, on all pages; null when it does not say. */
export function countOf(body: WireBody): number | null {
  return counted.safeParse(body).data ?? null;
}

/** The content of an answer in our shape. Throws CloudError for anything else, whose meaning is not known. */
export function content<T>(command: string, schema: z.ZodType<T>, body: unknown): T {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  throw badAnswer(command, 200, `unexpected content: ${cleanText(z.prettifyError(result.error))}`);
}

/** One for each version of a hypervisor. To CloudStack 0 says as little as no limit: it takes its default. */
export const HYPERVISOR: ListItem<{ readonly limit: number | null }> = {
  command: 'listHypervisorCapabilities',
  key: 'hypervisorCapabilities',
  schema: z.object({ maxdatavolumeslimit: whole }).transform(({ maxdatavolumeslimit }) => ({
    limit: maxdatavolumeslimit || null,
  })),
};

export const capabilities = z
  .object({
    capability: z.object({
      cloudstackversion: text,
      allowuserexpungerecovervm: optionalBoolean,
      allowuserexpungerecovervolume: optionalBoolean,
      allowuserviewdestroyedvm: optionalBoolean,
    }),
  })
  .transform(
    ({ capability }): CloudCapabilities => ({
      version: capability.cloudstackversion,
      mayExpungeVms: capability.allowuserexpungerecovervm,
      mayExpungeVolumes: capability.allowuserexpungerecovervolume,
      seesDestroyedVms: capability.allowuserviewdestroyedvm,
    }),
  );

export const accepted = z.object({ id: id.optional(), jobid: id });
export const success = z.object({ success: boolean, displaytext: text });

const jobError = z.object({ errorcode: whole, errortext: text });
const jobVolume = z.object({
  volume: z.object({ id, virtualmachineid: optionalId, deviceid: deviceId, attached: date }),
});
const jobSnapshot = z.object({ snapshot: z.object({ id }) });

function plugOf(volume: z.output<typeof jobVolume>['volume']): CloudJob['plug'] {
  const { virtualmachineid: vmId, deviceid: deviceId, attached } = volume;
  return vmId === null ? null : { deviceId, attached };
}

/**
 * jobstatus of the *answer* only: volume objects inside a result still carry `jobstatus: 0` of that very job.
 */
export const job = z
  .object({
    jobid: id,
    jobstatus: number,
    jobresultcode: whole,
    jobresult: z.unknown().optional(),
    jobinstanceid: optionalId.catch(null),
    jobinstancetype: text,
  })
  .transform((v): CloudJob => {
    const error = jobError.safeParse(v.jobresult);
    const made = jobVolume.safeParse(v.jobresult);
    const taken = jobSnapshot.safeParse(v.jobresult);
    const instance = (type: string) => (v.jobinstancetype === type ? v.jobinstanceid : null);
    const failed = v.jobstatus >= 2;
    return {
      jobId: v.jobid,
      status: v.jobstatus === 1 ? 'succeeded' : failed ? 'failed' : 'pending',
      errorCode: failed ? ((error.success ? error.data.errorcode : null) ?? v.jobresultcode) : null,
      errorText: failed && error.success ? error.data.errortext : null,
      volumeId: (made.success ? made.data.volume.id : instance('Volume'))?.toLowerCase() ?? null,
      plug: made.success ? plugOf(made.data.volume) : null,
      snapshotId: (taken.success ? taken.data.snapshot.id : instance('Snapshot'))?.toLowerCase() ?? null,
    };
  });
