import type { ServerResponse } from 'node:http';
import { z } from 'zod';
import { FAULT_KINDS, type Fault, RESTART_WORK } from './faults';
import type { CloudModel } from './model';
import { ApiError } from './records';

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

/** The fault port and the view behind the scenes, for tests and demos in other processes. No signature: it is not CloudStack. */
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
    case 'POST /restart':
      model.restart(withoutUndefined(restartSchema.parse(json(body))));
      return { status: 200, content: { restarted: true } };
    case 'POST /vms': {
      const fields = vmSchema.parse({ ...Object.fromEntries(url.searchParams), ...json(body) });
      return { status: 201, content: model.addVm(withoutUndefined(fields)) };
    }
    case 'POST /disks': {
      const { volumeId, make } = diskSchema.parse(json(body));
      await (make === 'ghost' ? model.makeGhost(volumeId) : model.makePhantom(volumeId));
      return { status: 200, content: { volumeId, make } };
    }
    case 'GET /state':
      return { status: 200, content: state(model) };
    default:
      return {
        status: 404,
        content: { error: 'there are /client/api, /faults, /state, /vms, /disks and /restart' },
      };
  }
}

function state(model: CloudModel): unknown {
  return {
    zones: model.zones,
    offerings: model.offerings,
    vms: model.vms,
    volumes: model.volumes,
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
