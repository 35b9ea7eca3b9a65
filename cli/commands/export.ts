import { EXIT, type Noun, verb } from '../command';
import { VALIDATION, validation } from './check';
import { EXPORT, EXPORT_RECORD } from './columns';

const volume = {
  type: 'positional',
  required: true,
  valueHint: 'id',
  description: 'id of the volume',
  complete: 'volume',
  field: 'volume_id',
} as const;

export const exportNoun: Noun = {
  name: 'export',
  alias: 'exports',
  summary: 'See and change what is exported over NBD',
  verbs: [
    verb({
      name: 'list',
      summary: 'List the exports',
      args: {
        status: {
          type: 'enum',
          options: ['pending', 'active', 'failed'],
          description: 'only in this status',
          field: 'status',
        },
      },
      columns: EXPORT,
      examples: [
        { line: 'volumectl export list --status failed', what: 'What does not answer as it should.' },
      ],
      async run({ api, out, call }, args) {
        const exports = await api.listExports({ query: { status: args.status } }, call);
        out.table(EXPORT, exports, 'Nothing is exported.');
        return EXIT.OK;
      },
    }),
    verb({
      name: 'show',
      summary: 'Show the export of a volume',
      args: { volume },
      columns: EXPORT_RECORD,
      examples: [{ line: 'volumectl export show <volume>', what: 'Its name and port, for an NBD client.' }],
      async run({ api, out, call }, args) {
        out.record(EXPORT_RECORD, await api.readExport({ path: { volume_id: args.volume } }, call));
        return EXIT.OK;
      },
    }),
    verb({
      name: 'publish',
      summary: 'Export an attached volume',
      details: 'An attach does this by itself; publishing again is fine.',
      args: {
        volume,
        'vm-name': {
          type: 'string',
          valueHint: 'text',
          description: 'kept with the export',
          field: 'vm_name',
        },
      },
      columns: EXPORT_RECORD,
      examples: [{ line: 'volumectl export publish <volume>', what: 'After it was withdrawn.' }],
      async run({ api, out, call }, args) {
        const name = args['vm-name'];
        const body = { volume_id: args.volume, ...(name !== undefined && { vm_name: name }) };
        out.record(EXPORT_RECORD, await api.publishExport({ body }, call));
        return EXIT.OK;
      },
    }),
    verb({
      name: 'withdraw',
      summary: 'Withdraw the export of a volume',
      details: 'New connections fail from now on, and sync does not bring it back.',
      args: {
        volume,
        force: { type: 'boolean', description: 'also while a client is connected', field: 'force' },
      },
      examples: [{ line: 'volumectl export withdraw <volume>', what: 'Fine when there is none.' }],
      async run({ api, out, call }, args) {
        const input = {
          path: { volume_id: args.volume },
          ...(args.force !== undefined && { body: { force: args.force } }),
        };
        const answer = await api.withdrawExport(input, call);
        if (out.settings.json) out.json(answer);
        else out.say(answer.message);
        return EXIT.OK;
      },
    }),
    verb({
      name: 'validate',
      summary: 'Ask every export whether it answers, with the right size',
      details: 'The same as "volumectl check exports". Exit code 3 when one does not.',
      args: {},
      columns: VALIDATION,
      examples: [{ line: 'volumectl export validate', what: 'A real NBD handshake with each.' }],
      run: validation,
    }),
  ],
};
