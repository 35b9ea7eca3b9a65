import type { CorrelationReport } from '../client/api';
import { EXIT, type Noun, verb } from '../command';
import type { Context } from '../context';
import { parseCount } from '../globals';
import type { Column } from '../output/table';
import { sizeText, timeText } from '../output/text';
import { DEVICE, MAPPING_RECORD, stateTone } from './columns';
import { follow } from './events';

const EXPLANATION: readonly Column<CorrelationReport>[] = [
  { name: 'volume', value: ({ volume_id, volume_name }) => `${volume_id} (${volume_name})` },
  { name: 'size', value: ({ volume_size }) => `${sizeText(volume_size)} (${volume_size} bytes)` },
  {
    name: 'in_cloudstack',
    value: ({ volume_state, vm_id, attached_here }) =>
      `${volume_state}, ${attached_here ? 'attached to this appliance' : vm_id === null ? 'not attached' : `attached to VM ${vm_id}`}`,
  },
  { name: 'expected_serial', value: ({ expected_serial }) => expected_serial },
  {
    name: 'answer',
    value: ({ answer, device_path, code, reason }) => `${answer} ${device_path ?? code ?? ''}: ${reason}`,
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

const CONSIDERED: readonly Column<CorrelationReport['considered'][number]>[] = [
  { name: 'device_path', value: ({ device_path }) => device_path },
  { name: 'size', value: ({ size }) => sizeText(size) },
  { name: 'serial', value: ({ serial }) => serial },
  { name: 'diskseq', value: ({ diskseq }) => diskseq },
  { name: 'verdict', value: ({ verdict }) => verdict },
];

const CHANGES: readonly Column<CorrelationReport['recent_events'][number]>[] = [
  { name: 'at', value: ({ at }) => timeText(at) },
  { name: 'what', value: ({ type }) => type },
  { name: 'device_path', value: ({ device_path }) => device_path },
  { name: 'size', value: ({ size }) => sizeText(size) },
  { name: 'serial', value: ({ serial }) => serial },
];

export const deviceNoun: Noun = {
  name: 'device',
  alias: 'devices',
  summary: 'See the disks of this guest, and whose they are',
  verbs: [
    verb({
      name: 'list',
      summary: 'List the disks of this guest as last seen',
      args: {},
      columns: DEVICE,
      examples: [{ line: 'volumectl device list', what: 'Every disk, and the volume it provably is.' }],
      run: (context) => list(context, false),
    }),
    verb({
      name: 'scan',
      summary: 'Look at the guest now, and list its disks',
      args: {},
      columns: DEVICE,
      examples: [{ line: 'volumectl device scan', what: 'After a change that the list does not show.' }],
      run: (context) => list(context, true),
    }),
    verb({
      name: 'show',
      summary: 'Show the volume that is mapped to a device',
      args: {
        device: {
          type: 'positional',
          required: true,
          valueHint: 'path',
          description: 'like vdb or /dev/vdb',
          complete: 'device',
          field: 'path',
        },
      },
      columns: MAPPING_RECORD,
      examples: [{ line: 'volumectl device show /dev/vdb', what: 'Whose disk is this?' }],
      async run({ api, out, call }, args) {
        out.record(MAPPING_RECORD, await api.readDeviceVolume({ path: { path: args.device } }, call));
        return EXIT.OK;
      },
    }),
    verb({
      name: 'watch',
      summary: 'Watch disks come and go',
      details: 'Lists the disks, then prints each change as the daemon sees it. Ends with Ctrl-C.',
      args: { limit: { type: 'string', valueHint: 'n', description: 'end after so many changes' } },
      columns: DEVICE,
      examples: [{ line: 'volumectl device watch', what: 'Then attach a volume, and see it appear.' }],
      async run(context, args) {
        const limit = args.limit === undefined ? null : parseCount(args.limit, '--limit');
        return follow(context, {
          after: undefined,
          limit,
          wanted: ({ name }) => name === 'device',
          onOpen: async () => {
            if (!context.out.settings.json) await list(context, true);
          },
        });
      },
    }),
    verb({
      name: 'explain',
      summary: 'Explain which disk a volume is, or why none',
      details:
        'Asks the rules that an attach uses, without acting on the answer, and shows every disk that was considered with its verdict. See correlation.md.',
      args: {
        volume: {
          type: 'positional',
          required: true,
          valueHint: 'id',
          description: 'id of the volume',
          complete: 'volume',
          field: 'volume_id',
        },
      },
      columns: EXPLANATION,
      examples: [
        { line: 'volumectl device explain <volume>', what: 'After DEVICE_NOT_DETECTED or DEVICE_AMBIGUOUS.' },
      ],
      async run({ api, out, call }, args) {
        const report = await api.explainCorrelation({ path: { volume_id: args.volume } }, call);
        out.record(EXPLANATION, report);
        if (out.settings.columns === undefined) {
          out.section('Considered', CONSIDERED, report.considered, 'The guest has no disk.');
          out.section('Recent changes', CHANGES, report.recent_events.slice(-10), 'None.');
        }
        return report.answer === 'refused' ? EXIT.FAILED : EXIT.OK;
      },
    }),
  ],
};

async function list({ api, out, call }: Context, scan: boolean): Promise<number> {
  const { devices } = await api.inspectGuest({ query: scan ? { scan: 'true' } : {} }, call);
  out.table(DEVICE, devices, 'The guest has no disk.');
  return EXIT.OK;
}
