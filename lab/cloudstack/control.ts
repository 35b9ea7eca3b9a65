import type { ServerResponse } from 'node:http';
import { z } from 'zod';
import { FAULT_KINDS } from './faults';
import type { CloudModel } from './model';

const faultSchema = z.object({
  command: z.string().default('*'),
  kind: z.enum(FAULT_KINDS),
  times: z.number().int().positive().optional(),
  code: z.number().int().optional(),
  text: z.string().optional(),
  ms: z.number().nonnegative().optional(),
});

/** The fault port and the view behind the scenes, for tests and demos in other processes: /faults, /state, /vms, /restart. */
export function handleControl(
  model: CloudModel,
  method: string,
  url: URL,
  body: string,
  response: ServerResponse,
): ServerResponse {
  const reply = (status: number, content: unknown) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(content));
  switch (`${method} ${url.pathname}`) {
    case 'GET /faults':
      return reply(200, { armed: model.faults.list(), struck: model.faults.struck });
    case 'POST /faults': {
      const parsed = faultSchema.safeParse(parseJson(body));
      if (!parsed.success) return reply(400, { error: z.prettifyError(parsed.error) });
      const { command, kind, ...rest } = parsed.data;
      model.faults.add({
        command,
        kind,
        ...Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined)),
      });
      return reply(201, { armed: model.faults.list() });
    }
    case 'DELETE /faults':
      model.faults.clear();
      return reply(200, { armed: [] });
    case 'POST /restart':
      model.restart();
      return reply(200, { restarted: true });
    case 'POST /vms':
      return reply(
        201,
        model.addVm({
          name: url.searchParams.get('name') ?? 'vm',
          state: url.searchParams.get('state') ?? 'Running',
        }),
      );
    case 'GET /state':
      return reply(200, {
        zones: model.zones,
        offerings: model.offerings,
        vms: model.vms,
        volumes: model.volumes,
        jobs: [...model.jobs.values()],
        effects: model.effects,
      });
    default:
      return reply(404, { error: 'there are /client/api, /faults, /state, /vms and /restart' });
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
