import type { IncomingHttpHeaders } from 'node:http';
import type { INCOMPLETE_HEADER } from '~/server/http/schemas/volumes';
import { flag, positional } from '../arguments';
import type { Health, Reply } from '../client/operations';
import { loneNoun, type Noun, verb } from '../command';
import type { Context } from '../context';
import { EXIT, UsageError } from '../exit';
import { defaultsNotes, LIST } from '../globals';
import type { Column } from '../output/table';
import { durationText } from '../output/units';
import { DRIFT_COLUMNS, field, sizeColumn, state, timeColumn } from './columns';

const HEALTH: readonly Column<Health>[] = [
  state('status'),
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
  state('status'),
  field('message'),
];

const WAITING: readonly Column<Health['details']['waiting'][number]>[] = [
  { name: 'operation', value: ({ id }) => id },
  field('type'),
  field('step'),
  field('reason'),
];

const HELD: readonly Column<Health['details']['held'][number]>[] = [
  { name: 'operation', value: ({ id }) => id },
  field('type'),
  { name: 'volume', value: ({ volume_id }) => volume_id },
  field('reason'),
];

const NOTE: readonly Column<string>[] = [{ name: 'note', value: (note) => note }];

const INCOMPLETE: Lowercase<typeof INCOMPLETE_HEADER> = 'volumes-incomplete';

const VM_VOLUME: readonly Column<Reply<'listVmVolumes'>[number]>[] = [
  field('volume_id'),
  field('device_path'),
  field('state'),
  sizeColumn('size', ({ size }) => size),
  timeColumn('attached_at', ({ attached_at }) => attached_at),
  field('doubt'),
];

export const vmNoun: Noun = {
  name: 'vm',
  alias: 'vms',
  summary: 'See the volumes of a VM',
  verbs: [
    verb({
      name: 'volumes',
      summary: 'List the volumes of a VM',
      args: { vm: positional('id of the VM', 'id'), ...LIST },
      columns: VM_VOLUME,
      details: 'Exit code 6 when there may be more than are listed: the reason is on the error output.',
      examples: [{ args: '<vm>', what: 'What is attached to it.' }],
      async run({ client, out }, { vm }) {
        let incomplete: string | undefined;
        const onHeaders = (headers: IncomingHttpHeaders) => {
          incomplete = headers[INCOMPLETE]?.toString();
        };
        const volumes = await client.call('listVmVolumes', { path: { id: vm } }, { onHeaders });
        const empty = incomplete === undefined ? 'This VM has no volume.' : '';
        out.table(VM_VOLUME, volumes, empty);
        if (incomplete === undefined) return EXIT.OK;
        out.complain(`There may be more volumes than these: ${incomplete}`, 'warn');
        return EXIT.NOT_KNOWN;
      },
    }),
  ],
};

export const healthNoun = loneNoun('health', {
  summary: 'Show how the daemon and everything it depends on are doing',
  details:
    'Exit code 3 when it is not healthy; with --allow-degraded only when it is unhealthy. ' +
    'Degraded: it works, and something needs a person.',
  columns: HEALTH,
  args: { 'allow-degraded': flag('exit code 0 also when degraded') },
  examples: [
    { args: '', what: 'Each dependency with the reason, what waits, and what needs a person.' },
    { args: '--quiet >/dev/null || echo trouble', what: 'For a script.' },
  ],
  async run({ client, out, isElsewhere }, args) {
    const health = await client.call('health', {});
    // A daemon before this version, as between an upgrade and its restart, does not name those with a
    // default.
    const { components, waiting, held = [], drifts, settings_notes: told = [] } = health.details;
    // What systemd ignores of the file never reaches the daemon, which cannot tell it.
    const notes = [...told, ...(isElsewhere ? [] : defaultsNotes())];
    out.record(HEALTH, health);
    if (!out.isBare) {
      const list = Object.entries(components).map(([name, component]) => ({ name, ...component }));
      out.section('Components', COMPONENT, list, 'None.');
      if (waiting.length > 0) out.section('Waiting operations', WAITING, waiting, '');
      if (held.length > 0) {
        out.section('Held operations', HELD, held, '');
        out.say(
          'A person has to decide: volumectl operation retry <operation>, or volumectl operation abandon <operation>.',
        );
      }
      if (drifts.length > 0) out.section('Drifts', DRIFT_COLUMNS, drifts, '');
      if (notes.length > 0) out.section('Settings without effect', NOTE, notes, '');
    }
    const good = args['allow-degraded'] ? ['healthy', 'degraded'] : ['healthy'];
    return good.includes(health.status) ? EXIT.OK : EXIT.FAILED;
  },
});

const dryRun = flag('only report', 'dry_run');

export const syncNoun = loneNoun('sync', {
  summary: 'Compare CloudStack, guest, database and exports, and repair what is safe',
  details:
    'Every drift is named with what was done about it, or what you can do. Exit code 3 when a repair has failed, 6 when CloudStack, the guest or the export server could not be read (then nothing was judged, and the drifts shown are those of before), or a part could not be judged.',
  args: { 'dry-run': dryRun, ...LIST },
  columns: DRIFT_COLUMNS,
  examples: [
    { args: '--dry-run', what: 'What would be done?' },
    { args: '', what: 'Do it.' },
  ],
  run: (context, args) => sync(context, { dryRun: args['dry-run'] ?? false }),
});

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
        task: { ...positional('name of the task: sync:force'), complete: ['sync:force'] },
        'dry-run': dryRun,
        ...LIST,
      },
      columns: DRIFT_COLUMNS,
      examples: [{ args: 'sync:force', what: 'The same as "volumectl sync".' }],
      async run(context, args) {
        if (args.task !== 'sync:force')
          throw new UsageError(`there is no task ${args.task} to run`, 'The only one is sync:force.');
        return sync(context, { dryRun: args['dry-run'] ?? false });
      },
    }),
  ],
};

export async function sync(
  { client, out, longTimeoutMs }: Context,
  { dryRun }: { readonly dryRun: boolean },
): Promise<number> {
  const query = { dry_run: dryRun };
  const result = await client.call('forceSync', { query }, { timeoutMs: longTimeoutMs });
  const { drifts, judged, unavailable } = result.report;
  if (out.isData) out.data(result);
  else {
    out.table(DRIFT_COLUMNS, drifts, '');
    if (judged) out.hint(result.message);
    else out.complain(`volumectl: ${result.message}`, 'warn');
  }
  if (judged && drifts.some(({ action }) => action === 'failed')) return EXIT.FAILED;
  const isWhole = unavailable.length === 0 && drifts.every(({ not_judged_since: since }) => since === null);
  return judged && isWhole ? EXIT.OK : EXIT.NOT_KNOWN;
}
