import { option, positional } from '../arguments';
import type { Reply } from '../client/operations';
import { type Noun, verb } from '../command';
import type { Context } from '../context';
import { EXIT } from '../exit';
import { followEvents } from '../follow-events';
import { LIST, parseCount } from '../globals';
import { stateTone } from '../output/state-tone';
import type { Column } from '../output/table';
import { timeText } from '../output/text';
import { sizeText } from '../output/units';
import { VOLUME } from './arguments';
import { DEVICE_COLUMNS, field, MAPPING_COLUMNS } from './columns';
import { ownDisks } from './own-disks';

type Explanation = Reply<'explainCorrelation'>;

const EXPLANATION: readonly Column<Explanation>[] = [
  { name: 'volume', value: ({ volume_id, volume_name }) => `${volume_id} (${volume_name})` },
  {
    name: 'size',
    value: ({ volume_size }) =>
      sizeText(volume_size) + (volume_size === null ? '' : ` (${volume_size} bytes)`),
  },
  {
    name: 'in_cloudstack',
    value: ({ volume_state, vm_id, attached_here }) =>
      `${volume_state}, ${attached_here ? 'attached to this appliance' : vm_id === null ? 'not attached' : `attached to VM ${vm_id}`}`,
  },
  field('expected_serial'),
  {
    name: 'answer',
    value: ({ answer, device_path, code, reason }) =>
      `${[answer, device_path ?? code].filter(Boolean).join(' ')}: ${reason}`,
    tone: ({ answer }) => stateTone(answer),
  },
  {
    name: 'mapping',
    value: ({ mapping, mapping_problem }) =>
      mapping &&
      `${mapping.device_path} (${mapping.linux_state})${mapping_problem === null ? '' : `, does not count: ${mapping_problem}`}`,
    tone: ({ mapping_problem }) => (mapping_problem === null ? 'plain' : 'bad'),
  },
  { name: 'last_attach', value: ({ submitted_at }) => submitted_at && timeText(submitted_at) },
];

const CONSIDERED: readonly Column<Explanation['considered'][number]>[] = [
  field('device_path'),
  { name: 'size', value: ({ size }) => sizeText(size) },
  field('serial'),
  field('diskseq'),
  field('verdict'),
];

const EVENTS: readonly Column<Explanation['recent_events'][number]>[] = [
  { name: 'at', value: ({ at }) => timeText(at) },
  { name: 'what', value: ({ type }) => type },
  field('device_path'),
  { name: 'size', value: ({ size }) => sizeText(size) },
  field('serial'),
];

export const deviceNoun: Noun = {
  name: 'device',
  alias: 'devices',
  summary: 'See the disks of this guest, and whose they are',
  verbs: [
    verb({
      name: 'list',
      summary: 'List the disks of this guest as last seen',
      args: LIST,
      columns: DEVICE_COLUMNS,
      examples: [{ args: '', what: 'Every disk, and the volume it provably is.' }],
      run: (context) => list(context, { scan: false }),
    }),
    verb({
      name: 'scan',
      summary: 'Look at the guest now, and list its disks',
      args: LIST,
      columns: DEVICE_COLUMNS,
      examples: [{ args: '', what: 'After a change that the list does not show.' }],
      run: (context) => list(context, { scan: true }),
    }),
    verb({
      name: 'show',
      summary: 'Show the volume that is mapped to a device',
      args: { device: { ...positional('like vdb or /dev/vdb', 'path'), complete: 'device' } },
      columns: MAPPING_COLUMNS,
      examples: [{ args: '/dev/vdb', what: 'Whose disk is this?' }],
      async run({ client, out }, { device }) {
        out.record(MAPPING_COLUMNS, await client.call('readDeviceVolume', { path: { path: device } }));
        return EXIT.OK;
      },
    }),
    verb({
      name: 'watch',
      summary: 'Watch disks come and go',
      details: 'Lists the disks, then prints each change as the daemon sees it. Ends with Ctrl-C.',
      args: { limit: option('n', 'end after so many changes') },
      columns: DEVICE_COLUMNS,
      examples: [{ args: '', what: 'Then attach a volume, and see it appear.' }],
      async run(context, args) {
        const limit = args.limit === undefined ? null : parseCount(args.limit, '--limit');
        return followEvents(context, {
          after: undefined,
          limit,
          wanted: ({ event }) => event === 'device',
          onOpen: async () => {
            if (!context.out.isData) await list(context, { scan: true });
          },
        });
      },
    }),
    ownDisks,
    verb({
      name: 'explain',
      summary: 'Explain which disk a volume is, or why none',
      details:
        'Asks the rules that an attach uses, without acting on the answer, and shows every disk that was considered with its verdict. See correlation.md.',
      args: { volume: { ...VOLUME, field: 'volume_id' } },
      columns: EXPLANATION,
      examples: [{ args: '<volume>', what: 'After DEVICE_NOT_DETECTED or DEVICE_AMBIGUOUS.' }],
      async run({ client, out }, { volume }) {
        const report = await client.call('explainCorrelation', { path: { volume_id: volume } });
        out.record(EXPLANATION, report);
        if (!out.isBare) {
          out.section(
            'Considered',
            CONSIDERED,
            report.considered,
            'No disk is on a bus on which volumes come.',
          );
          out.section('Recent changes', EVENTS, report.recent_events.slice(-10), 'None.');
        }
        return report.answer === 'refused' ? EXIT.FAILED : EXIT.OK;
      },
    }),
  ],
};

async function list({ client, out }: Context, query: { readonly scan: boolean }): Promise<number> {
  const { devices, others, scanned, scanned_at } = await client.call('inspectGuest', { query });
  out.table(DEVICE_COLUMNS, devices, 'The guest has no disk on a bus on which volumes come.');
  // A daemon before this version does not name them.
  const elsewhere = (others ?? []).map(({ device_path, bus }) => `${device_path} (${bus})`).join(', ');
  if (elsewhere !== '' && !out.isData) out.hint(`On buses on which no volumes come: ${elsewhere}.`);
  if (scanned) return EXIT.OK;
  out.complain(
    `As of ${timeText(scanned_at)}: the guest could not be read since the daemon was started.`,
    'warn',
  );
  return EXIT.NOT_KNOWN;
}
