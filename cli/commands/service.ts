import type { Drift, Health, VmVolume } from '../client/api';
import { EXIT, type Noun, UsageError, verb } from '../command';
import type { Context } from '../context';
import type { Column } from '../output/table';
import { durationText, sizeText, timeText } from '../output/text';
import { stateTone } from './columns';

const HEALTH: readonly Column<Health>[] = [
  { name: 'status', value: ({ status }) => status, tone: ({ status }) => stateTone(status) },
  {
    name: 'phase',
    value: ({ details: { phase, phase_reason } }) =>
      phase_reason === null ? phase : `${phase}: ${phase_reason}`,
  },
  { name: 'version', value: ({ details: { version } }) => version },
  { name: 'uptime', value: ({ details: { uptime_seconds } }) => durationText(uptime_seconds * 1000) },
  {
    name: 'appliance',
    value: ({ details: { appliance } }) =>
      appliance.vm_id && `${appliance.vm_id} (from ${appliance.source ?? '?'})`,
  },
  {
    name: 'operations',
    value: ({ details }) => `${details.active_operations} executing, ${details.pending_operations} pending`,
  },
];

interface Component {
  readonly name: string;
  readonly status: string;
  readonly message: string;
}
const COMPONENT: readonly Column<Component>[] = [
  { name: 'component', value: ({ name }) => name },
  { name: 'status', value: ({ status }) => status, tone: ({ status }) => stateTone(status) },
  { name: 'message', value: ({ message }) => message },
];

const WAITING: readonly Column<Health['details']['waiting'][number]>[] = [
  { name: 'operation', value: ({ id }) => id },
  { name: 'type', value: ({ type }) => type },
  { name: 'step', value: ({ step }) => step },
  { name: 'reason', value: ({ reason }) => reason },
];

const DRIFT: readonly Column<Drift>[] = [
  { name: 'drift', value: ({ kind }) => kind },
  { name: 'action', value: ({ action }) => action, tone: ({ action }) => stateTone(action) },
  { name: 'volume_id', value: ({ volume_id }) => volume_id },
  { name: 'device_path', value: ({ device_path }) => device_path, hidden: true },
  { name: 'vm_id', value: ({ vm_id }) => vm_id, hidden: true },
  { name: 'what', value: ({ message }) => message },
  { name: 'remedy', value: ({ remedy }) => remedy },
];

const VM_VOLUME: readonly Column<VmVolume>[] = [
  { name: 'volume_id', value: ({ volume_id }) => volume_id },
  { name: 'device_path', value: ({ device_path }) => device_path },
  { name: 'state', value: ({ state }) => state },
  { name: 'size', value: ({ size }) => sizeText(size) },
  { name: 'attached_at', value: ({ attached_at }) => timeText(attached_at) },
];

export const vmNoun: Noun = {
  name: 'vm',
  alias: 'vms',
  summary: 'See the volumes of a VM',
  verbs: [
    verb({
      name: 'volumes',
      summary: 'List the volumes of a VM',
      args: {
        vm: { type: 'positional', required: true, valueHint: 'id', description: 'id of the VM', field: 'id' },
      },
      columns: VM_VOLUME,
      examples: [{ line: 'volumectl vm volumes <vm>', what: 'As the daemon has attached them.' }],
      async run({ api, out, call }, args) {
        const volumes = await api.listVmVolumes({ path: { id: args.vm } }, call);
        out.table(VM_VOLUME, volumes, 'The daemon knows of no volume of this VM.');
        return EXIT.OK;
      },
    }),
  ],
};

export const healthNoun: Noun = {
  name: 'health',
  summary: 'Show how the daemon and everything it depends on are doing',
  verbs: [
    verb({
      name: '',
      summary: 'Show how the daemon and everything it depends on are doing',
      details: 'Exit code 3 when unhealthy, with --strict also when degraded.',
      columns: HEALTH,
      args: { strict: { type: 'boolean', description: 'exit code 3 also when degraded' } },
      examples: [
        { line: 'volumectl health', what: 'Each dependency with the reason, and what waits.' },
        { line: 'volumectl health --strict --quiet >/dev/null || echo trouble', what: 'For a script.' },
      ],
      async run({ api, out, call }, args) {
        const health = await api.health({}, call);
        const { components, waiting, drifts } = health.details;
        out.record(HEALTH, health);
        if (out.settings.columns === undefined) {
          const list = Object.entries(components).map(([name, { status, message }]) => ({
            name,
            status,
            message,
          }));
          out.section('Components', COMPONENT, list, 'None.');
          if (waiting.length > 0) out.section('Waiting operations', WAITING, waiting, '');
          if (drifts.length > 0) out.section('Drifts', DRIFT, drifts, '');
        }
        const bad = args.strict ? health.status !== 'healthy' : health.status === 'unhealthy';
        return bad ? EXIT.FAILED : EXIT.OK;
      },
    }),
  ],
};

const dryRun = { type: 'boolean', description: 'only report', field: 'dry_run' } as const;

export const syncNoun: Noun = {
  name: 'sync',
  summary: 'Compare CloudStack, guest, database and exports, and repair what is safe',
  verbs: [
    verb({
      name: '',
      summary: 'Compare CloudStack, guest, database and exports, and repair what is safe',
      details:
        'Every drift is named with what was done about it, or what you can do. Exit code 3 when a repair has failed.',
      args: { 'dry-run': dryRun },
      columns: DRIFT,
      examples: [
        { line: 'volumectl sync --dry-run', what: 'What would be done?' },
        { line: 'volumectl sync', what: 'Do it.' },
      ],
      run: (context, args) => sync(context, args['dry-run'] ?? false),
    }),
  ],
};

export const taskNoun: Noun = {
  name: 'task',
  alias: 'tasks',
  summary: 'Run a task of the daemon now',
  verbs: [
    verb({
      name: 'run',
      summary: 'Run a task of the daemon now',
      details: 'sync:force is the task behind "volumectl sync". The others run by themselves.',
      args: {
        task: {
          type: 'positional',
          required: true,
          valueHint: 'sync:force',
          description: 'name of the task: sync:force',
          complete: ['sync:force'],
        },
        'dry-run': dryRun,
      },
      columns: DRIFT,
      examples: [{ line: 'volumectl task run sync:force', what: 'The same as "volumectl sync".' }],
      async run(context, args) {
        if (args.task !== 'sync:force')
          throw new UsageError(`there is no task ${args.task} to run`, 'The only one is sync:force.');
        return sync(context, args['dry-run'] ?? false);
      },
    }),
  ],
};

async function sync({ api, out, longCall }: Context, dry: boolean): Promise<number> {
  const result = await api.forceSync({ query: dry ? { dry_run: 'true' } : {} }, longCall);
  const { drifts } = result.report;
  if (out.settings.json) out.json(result);
  else {
    out.table(DRIFT, drifts, '');
    out.hint(result.message);
  }
  return drifts.some(({ action }) => action === 'failed') ? EXIT.FAILED : EXIT.OK;
}
