import { choice, option } from '../arguments';
import type { Reply, VolumeSummary } from '../client/operations';
import { allPages } from '../client/pages';
import { verb } from '../command';
import type { Context } from '../context';
import { EXIT } from '../exit';
import { LIST } from '../globals';
import { stateTone } from '../output/state-tone';
import type { Column } from '../output/table';
import { timeText } from '../output/text';
import { durationText } from '../output/units';
import { field, sizeColumn, timeColumn } from './columns';

const PAGE_VOLUMES = 1_000;

const COLUMNS: readonly Column<VolumeSummary>[] = [
  field('volume_id'),
  field('name'),
  {
    name: 'state',
    value: ({ state }) => state ?? 'not shown',
    tone: ({ state }) => (state === null ? 'warn' : 'plain'),
  },
  sizeColumn('size', ({ size }) => size),
  { name: 'vm', value: ({ vm_name, vm_id }) => vm_name ?? vm_id },
  {
    name: 'device_path',
    value: ({ mapping }) => mapping?.device_path,
    tone: ({ mapping }) => (mapping ? stateTone(mapping.linux_state) : 'plain'),
  },
  {
    name: 'export',
    value: (row) => row.export && `${row.export.status}${row.export.read_only ? ', read-only' : ''}`,
  },
  { name: 'last_operation', value: ({ last_operation: last }) => last && `${last.type} ${last.status}` },
  { ...field('type'), hidden: true },
  { ...field('vm_id'), hidden: true },
  { name: 'mapped_vm_id', value: ({ mapping }) => mapping?.vm_id, hidden: true },
  { name: 'linux_state', value: ({ mapping }) => mapping?.linux_state, hidden: true },
  { name: 'meaning', value: ({ state_means }) => state_means && `it ${state_means}`, hidden: true },
  { ...field('attached'), hidden: true },
  { ...field('created'), hidden: true },
  { ...field('account'), hidden: true },
  { ...field('project_id'), hidden: true },
  { name: 'zone', value: ({ zone_name, zone_id }) => zone_name ?? zone_id, hidden: true },
  { ...field('not_shown'), hidden: true },
  { ...timeColumn('at', ({ at }) => at), hidden: true },
];

type Freshness = Reply<'listVolumes'>['cloudstack'];

export const listVolumes = verb({
  name: 'list',
  summary: 'List all volumes that the key sees, with device, export and last operation',
  details:
    'From what the daemon has last seen in CloudStack; how long ago that was is said on the error output. Exit code 6 when CloudStack could not be asked since.',
  args: {
    name: option('text', 'only names with this part, in any case', 'name'),
    state: option('state', 'only in this state of CloudStack, like Ready', 'state'),
    vm: option('id', 'only those attached to this VM', 'vm_id'),
    attached: choice(
      { yes: 'attached to a VM', no: 'detached' },
      'only attached, or only detached ones',
      'attached',
    ),
    project: option('id', 'only those of this project', 'project'),
    ...LIST,
  },
  columns: COLUMNS,
  examples: [
    { args: '', what: 'What there is, and which volume is which device.' },
    { args: '--attached no --state Ready', what: 'What nobody uses.' },
    { args: '--filter size>=100Gi --sort size', what: 'The large ones, the largest last.' },
    { args: '--name web -o name', what: 'Only the ids, for a script.' },
  ],
  async run({ client, out }, { name, state, vm, attached, project }) {
    const filter = { name, state, vm_id: vm, project, attached: attached && attached === 'yes' };
    let freshness: Freshness | undefined;
    const found = await allPages(async (cursor, options) => {
      const query = { ...filter, cursor, limit: PAGE_VOLUMES };
      const page = await client.call('listVolumes', { query }, options);
      freshness ??= page.cloudstack;
      return page.volumes;
    });
    out.table(COLUMNS, found, 'There is no such volume.');
    return freshness ? tellFreshness(out, freshness) : EXIT.OK;
  },
});

/** Says how old the list is, and what it cannot know. Returns the exit code. */
function tellFreshness(out: Context['out'], freshness: Freshness): number {
  const { kind, at, age_seconds, why, unknown_since, not_shown } = freshness;
  const age = `${durationText(age_seconds * 1000)} ago`;
  const hint = out.isData ? () => {} : (text: string) => out.hint(text);
  if (not_shown > 0)
    hint(`Mapped, but not shown by CloudStack to the key: ${not_shown}; without filters they are listed.`);
  if (kind === 'seen') {
    hint(`As CloudStack was ${age}.`);
    return EXIT.OK;
  }
  const since = unknown_since === null ? '' : ` since ${timeText(unknown_since)}`;
  out.complain(
    `As CloudStack was ${age} (${timeText(at)}). It could not be asked${since}: ${why ?? 'not known why'}`,
    'warn',
  );
  return EXIT.NOT_KNOWN;
}
