import { choice, flag, option } from '../arguments';
import { type Noun, verb } from '../command';
import { EXIT } from '../exit';
import { LIST } from '../globals';
import { watchTable } from '../watch-table';
import { DRY_RUN, VOLUME } from './arguments';
import { VALIDATION, validation } from './check';
import { EXPORT_COLUMNS } from './columns';
import { preview } from './preview';

const volume = { ...VOLUME, field: 'volume_id' } as const;

export const exportNoun: Noun = {
  name: 'export',
  alias: 'exports',
  summary: 'See and change what is exported over NBD',
  verbs: [
    verb({
      name: 'list',
      summary: 'List the exports',
      details:
        'With who is connected, what was written to the disk of each, and how fast, as the kernel counts it. With --watch the list is shown again every 2 seconds until Ctrl-C or --timeout; with --json one line each time.',
      args: {
        status: choice(
          {
            pending: 'not proven yet',
            active: 'answers as it should',
            failed: 'does not answer as it should',
          },
          'only in this status',
          'status',
        ),
        ...LIST,
        watch: flag('show it again every 2 seconds'),
      },
      columns: EXPORT_COLUMNS,
      examples: [
        { args: '--status failed', what: 'What does not answer as it should.' },
        { args: '--watch', what: 'How far the copies are, and how long they will take.' },
      ],
      async run(context, { status, watch }) {
        const list = (signal?: AbortSignal) =>
          context.client.call('listExports', { query: { status } }, signal ? { signal } : {});
        if (watch) return watchTable(context, EXPORT_COLUMNS, 'Nothing is exported.', list);
        context.out.table(EXPORT_COLUMNS, await list(), 'Nothing is exported.');
        return EXIT.OK;
      },
    }),
    verb({
      name: 'show',
      summary: 'Show the export of a volume',
      args: { volume },
      columns: EXPORT_COLUMNS,
      examples: [{ args: '<volume>', what: 'Its name and port, for an NBD client.' }],
      async run({ client, out }, args) {
        out.record(EXPORT_COLUMNS, await client.call('readExport', { path: { volume_id: args.volume } }));
        return EXIT.OK;
      },
    }),
    verb({
      name: 'publish',
      summary: 'Export an attached volume',
      details:
        'An attach does this by itself; publishing again is fine. An export changes between writable and --read-only only while nobody is connected.',
      args: {
        volume,
        'vm-name': option('text', 'kept with the export', 'vm_name'),
        'read-only': flag('let nobody write', 'read_only'),
        ...DRY_RUN,
      },
      columns: EXPORT_COLUMNS,
      examples: [{ args: '<volume>', what: 'After it was withdrawn.' }],
      async run(context, args) {
        const { client, out } = context;
        const body = { volume_id: args.volume, vm_name: args['vm-name'], read_only: args['read-only'] };
        if (args['dry-run']) return preview(context, 'publishExport', { body }, { volume: args.volume });
        out.record(EXPORT_COLUMNS, await client.call('publishExport', { body }));
        return EXIT.OK;
      },
    }),
    verb({
      name: 'withdraw',
      summary: 'Withdraw the export of a volume',
      details: 'New connections fail from now on, and sync does not bring it back.',
      args: { volume, force: flag('also while a client is connected', 'force'), ...DRY_RUN },
      examples: [{ args: '<volume>', what: 'Fine when there is none.' }],
      async run(context, { volume, force, 'dry-run': dryRun }) {
        const { client, out } = context;
        const input = { path: { volume_id: volume }, body: force === undefined ? undefined : { force } };
        if (dryRun) return preview(context, 'withdrawExport', input, { volume });
        const answer = await client.call('withdrawExport', input);
        if (out.isData) out.data(answer);
        else out.say(answer.message);
        return EXIT.OK;
      },
    }),
    verb({
      name: 'validate',
      summary: 'Ask every export whether it answers, with the right size',
      details: 'The same as "volumectl check exports". Exit code 3 when one does not.',
      args: LIST,
      columns: VALIDATION,
      examples: [{ args: '', what: 'A real NBD handshake with each.' }],
      run: validation,
    }),
  ],
};
