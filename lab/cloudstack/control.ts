import type { ServerResponse } from 'node:http';
import { z } from 'zod';
import { CONDITION_KINDS } from './conditions';
import { FAULT_KINDS, type Fault, RESTART_WORK } from './faults';
import type { CloudModel } from './model';
import { ApiError } from './records';
import { GIB } from './state/inventory';

const ms = z.number().nonnegative();
const faultSchema = z.object({
  command: z.string().default('*'),
  kind: z.enum(FAULT_KINDS),
  times: z.number().int().positive().optional(),
  code: z.number().int().min(0).max(599).optional(),
  text: z.string().optional(),
  ms: ms.optional(),
  work: z.enum(RESTART_WORK).optional(),
  stuck: z.boolean().optional(),
});
const restartSchema = z.object({
  work: z.enum(RESTART_WORK).optional(),
  stuck: z.boolean().optional(),
  downFor: ms.optional(),
});
const vmSchema = z.object({
  name: z.string().min(1).default('vm'),
  id: z.guid().optional(),
  state: z.string().default('Running'),
  hypervisor: z.string().default('KVM'),
  account: z.string().optional(),
});
const conditionSchema = z.object({
  kind: z.enum(CONDITION_KINDS),
  ms: ms.optional(),
  delayMs: ms.optional(),
  id: z.string().optional(),
});
const projectSchema = z.object({ name: z.string().min(1), members: z.array(z.string()).min(1) });
const newVolumeSchema = z.object({
  name: z.string(),
  sizeGiB: z.number().int().positive().default(1),
  account: z.string().optional(),
  state: z.string().optional(),
});
const volumeChangeSchema = z.object({
  state: z.string().optional(),
  deleteProtection: z.boolean().optional(),
});
const diskSchema = z.object({ volumeId: z.guid(), make: z.enum(['ghost', 'phantom']) });

interface ControlRequest {
  readonly method: string;
  readonly url: URL;
  readonly body: string;
}

interface Answer {
  readonly status: number;
  readonly content: unknown;
}

/**
 * The fault port and the view behind the scenes, for tests and demos in other processes. No signature:
 * it is not CloudStack.
 */
export async function handleControl(
  model: CloudModel,
  request: ControlRequest,
  response: ServerResponse,
): Promise<void> {
  const { status, content } = await controlled(model, request).catch((error: unknown): Answer => {
    const text = error instanceof z.ZodError ? z.prettifyError(error) : String(error);
    return {
      status: error instanceof z.ZodError || error instanceof ApiError ? 400 : 500,
      content: { error: text },
    };
  });
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(content));
}

async function controlled(model: CloudModel, { method, url, body }: ControlRequest): Promise<Answer> {
  switch (`${method} ${url.pathname}`) {
    case 'GET /faults':
      return { status: 200, content: { armed: model.faults.list(), struck: model.faults.struck } };
    case 'POST /faults': {
      const fault: Fault = withoutUndefined(faultSchema.parse(json(body)));
      model.faults.add(fault);
      return { status: 201, content: { armed: model.faults.list() } };
    }
    case 'DELETE /faults':
      model.faults.clear();
      return { status: 200, content: { armed: [] } };
    case 'GET /conditions':
      return { status: 200, content: { holding: model.conditions.list() } };
    case 'POST /conditions':
      model.conditions.add(withoutUndefined(conditionSchema.parse(json(body))));
      return { status: 201, content: { holding: model.conditions.list() } };
    case 'DELETE /conditions':
      model.conditions.clear();
      return { status: 200, content: { holding: [] } };
    case 'POST /projects': {
      const { name, members } = projectSchema.parse(json(body));
      return { status: 201, content: model.accounts.addProject(name, members) };
    }
    case 'POST /restart':
      model.restart(withoutUndefined(restartSchema.parse(json(body))));
      return { status: 200, content: { restarted: true } };
    case 'POST /vms': {
      const asked = vmSchema.parse({ ...Object.fromEntries(url.searchParams), ...json(body) });
      const { account, ...fields } = withoutUndefined(asked);
      return { status: 201, content: model.addVm({ ...fields, ...ownedBy(model, account) }) };
    }
    case 'POST /volumes':
      return { status: 201, content: addVolume(model, json(body)) };
    case 'POST /disks': {
      const { volumeId, make } = diskSchema.parse(json(body));
      await (make === 'ghost' ? model.makeGhost(volumeId) : model.makePhantom(volumeId));
      return { status: 200, content: { volumeId, make } };
    }
    case 'GET /state':
      return { status: 200, content: state(model) };
    default:
      return changed(model, method, url, body) ?? NOT_FOUND;
  }
}

const NOT_FOUND: Answer = {
  status: 404,
  content: {
    error:
      'there are /client/api, /faults, /conditions, /state, /vms[/ID], /volumes[/ID], /projects, /disks and /restart',
  },
};

/** PATCH /volumes/ID and /vms/ID put one into a state that nothing of the model leads to. */
function changed(model: CloudModel, method: string, url: URL, body: string): Answer | null {
  const [, kind, id = ''] = url.pathname.split('/');
  if (method !== 'PATCH' || (kind !== 'volumes' && kind !== 'vms')) return null;
  const change = withoutUndefined(volumeChangeSchema.parse(json(body)));
  if (kind === 'volumes')
    return { status: 200, content: Object.assign(model.inventory.volume('control', 'id', id), change) };
  const vm = model.inventory.vm('control', 'id', id);
  vm.state = change.state ?? vm.state;
  return { status: 200, content: vm };
}

/** A volume that nobody asked for through the API: another tenant's, say. */
function addVolume(model: CloudModel, body: Record<string, unknown>): unknown {
  const { name, sizeGiB, account, state } = newVolumeSchema.parse(body);
  const volume = model.inventory.addVolume({
    name,
    size: sizeGiB * GIB,
    zoneId: model.inventory.firstZone().id,
    diskOfferingId: model.offerings[0]?.id ?? null,
    ...ownedBy(model, account),
  });
  volume.state = state ?? volume.state;
  return volume;
}

/** By name or id of an account, or of a project's account. */
function ownedBy(model: CloudModel, account: string | undefined): { accountId?: string } {
  return account === undefined ? {} : { accountId: model.accounts.require(account).id };
}

function state(model: CloudModel): unknown {
  return {
    accounts: model.accounts.all,
    zones: model.zones,
    offerings: model.offerings,
    vms: model.vms,
    volumes: model.volumes,
    snapshots: model.inventory.snapshots,
    jobs: [...model.jobs.values()],
    effects: model.effects,
    counts: model.history.counts(),
    events: model.history.events(),
  };
}

/** An empty body is an empty object. Throws ZodError for anything but a JSON object. */
function json(text: string): Record<string, unknown> {
  let value: unknown = {};
  try {
    if (text.trim() !== '') value = JSON.parse(text);
  } catch {
    value = null;
  }
  return z.record(z.string(), z.unknown(), 'the body is not a JSON object').parse(value);
}

type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> };

/** Parsed optional fields may be present as `undefined`; the model's options may only be absent. */
function withoutUndefined<T extends object>(value: T): Defined<T> {
  // The one place where the compiler cannot follow: the filter below is exactly what the type says.
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as Defined<T>;
}
