import { choice, flag, option } from '../arguments';
import { journalSoFar } from '../client/journal';
import { allPages } from '../client/pages';
import { type Noun, verb } from '../command';
import { EXIT } from '../exit';
import { LIST, parseCount, parseMoment } from '../globals';
import { hasEnded } from '../wait-for-end';
import { DRY_RUN, OPERATION } from './arguments';
import { JOURNAL_COLUMNS, OPERATION_COLUMNS } from './columns';
import { printEnd, waitWithHint } from './outcome';
import { preview } from './preview';

const LIST_COUNT = '20';
const PAGE_COUNT = '1000';
/** The stream of an operation that has ended ends by itself; a slow daemon must not cut it short. */
const ENDED_IDLE_MS = 10_000;

export const operationNoun: Noun = {
  name: 'operation',
  alias: 'operations',
  summary: 'See what was asked for, where it is, and cancel it',
  verbs: [
    verb({
      name: 'list',
      summary: 'List operations, newest first',
      args: {
        type: choice(
          {
            create: 'a volume was made',
            attach: 'a volume came to a VM',
            detach: 'a volume left a VM',
            delete: 'a volume was deleted',
            recover: 'a volume came back from the trash',
            cleanup: 'a volume came back from a test VM',
            resize: 'a volume was made larger',
            snapshot: 'a snapshot was taken',
            'delete-snapshot': 'a snapshot was deleted',
            revert: 'a volume got back the content of a snapshot',
            'snapshot-group': 'snapshots of several volumes were taken',
          },
          'only of this type',
          'type',
        ),
        status: choice(
          {
            pending: 'accepted, not begun',
            executing: 'being done',
            completed: 'done',
            failed: 'ended with a reason',
            cancelled: 'ended before CloudStack was asked',
          },
          'only in this status',
          'status',
        ),
        volume: { ...option('volume', 'only of this volume', 'volume_id'), complete: 'volume' },
        vm: option('id', 'only of this VM', 'vm_id'),
        since: option('time', 'only since then: 1h is an hour ago, or like 2026-08-19T20:30:00Z', 'since'),
        limit: option('n', `at most so many (default ${LIST_COUNT})`, 'limit'),
        all: flag('all of them, in pages of --limit'),
        ...LIST,
      },
      columns: OPERATION_COLUMNS,
      examples: [
        { args: '--status executing', what: 'What is going on.' },
        { args: '--status failed --since 1h', what: 'What went wrong lately, and why.' },
        { args: '--all --filter reason~quota --sort volume_id', what: 'All that a quota has stopped.' },
        { args: '--volume <id> --all --json', what: 'The whole history of a volume.' },
      ],
      async run({ client, out }, args) {
        const { type, status, volume, vm, all } = args;
        const limit = parseCount(args.limit ?? (all ? PAGE_COUNT : LIST_COUNT), '--limit');
        const since =
          args.since === undefined ? undefined : new Date(parseMoment(args.since, '--since')).toISOString();
        const query = { type, status, volume_id: volume, vm_id: vm, since, limit };
        const found = all
          ? await allPages((cursor, options) =>
              client.call('listOperations', { query: { ...query, cursor } }, options),
            )
          : await client.call('listOperations', { query });
        out.table(OPERATION_COLUMNS, found, 'There is no such operation.');
        if ((args.filter ?? args.sort) !== undefined && !all && found.length === limit)
          out.hint(`Of the newest ${limit} only; --all looks at all of them.`);
        return EXIT.OK;
      },
    }),
    verb({
      name: 'show',
      summary: 'Show an operation and every step of it',
      args: { operation: OPERATION },
      columns: OPERATION_COLUMNS,
      examples: [{ args: '<operation>', what: 'Where it is, or why it has failed.' }],
      async run(context, args) {
        const { client, out } = context;
        const found = await client.call('readOperation', { path: { id: args.operation } });
        const journal = await journalSoFar(
          (idle) => {
            const signal = AbortSignal.any([idle, context.signal]);
            return client.events('streamOperation', { path: { id: found.id } }, { signal });
          },
          hasEnded(found) ? ENDED_IDLE_MS : undefined,
        );
        if (out.isData) out.data({ ...found, journal });
        else {
          out.record(OPERATION_COLUMNS, found);
          if (!out.isBare) out.section('Steps', JOURNAL_COLUMNS, journal, 'None yet.');
        }
        return EXIT.OK;
      },
    }),
    verb({
      name: 'watch',
      summary: 'Wait until an operation has ended, naming its step',
      details: 'A daemon that restarts meanwhile is waited for, up to a minute. Exit code 3 when it fails.',
      args: { operation: OPERATION },
      columns: OPERATION_COLUMNS,
      examples: [
        { args: '<operation>', what: 'Until it has ended.' },
        { args: '<operation> --timeout 2m', what: 'For two minutes; then exit code 4.' },
      ],
      async run(context, args) {
        const found = await context.client.call('readOperation', { path: { id: args.operation } });
        return printEnd(context, hasEnded(found) ? found : await waitWithHint(context, found));
      },
    }),
    verb({
      name: 'cancel',
      summary: 'Cancel an operation that CloudStack has not been asked for yet',
      args: { operation: OPERATION, ...DRY_RUN },
      columns: OPERATION_COLUMNS,
      examples: [{ args: '<operation>', what: 'Refused when it is too late.' }],
      async run(context, { operation, 'dry-run': dryRun }) {
        const { client, out } = context;
        const input = { path: { id: operation } };
        if (dryRun) return preview(context, 'cancelOperation', input, { operation });
        const found = await client.call('cancelOperation', input);
        out.record(OPERATION_COLUMNS, found);
        if (hasEnded(found)) return EXIT.OK;
        out.hint(
          found.held === undefined
            ? 'It is asked to stop; it does so before its next call of CloudStack.'
            : 'It is held, so nobody runs it, and it stops only once it is retried. To end it now: volumectl operation abandon.',
        );
        return EXIT.OK;
      },
    }),
    verb({
      name: 'retry',
      summary: 'Run a held operation again, from where it was',
      details: 'When its row is still not understood, it is held again.',
      args: { operation: OPERATION, ...DRY_RUN },
      columns: OPERATION_COLUMNS,
      examples: [{ args: '<operation>', what: 'After what was wrong with it has been mended.' }],
      async run(context, { operation, 'dry-run': dryRun }) {
        const { client, out } = context;
        const input = { path: { id: operation } };
        if (dryRun) return preview(context, 'retryOperation', input, { operation });
        const found = await client.call('retryOperation', input);
        out.record(OPERATION_COLUMNS, found);
        return EXIT.OK;
      },
    }),
    verb({
      name: 'abandon',
      summary: 'End a held operation as failed; nothing is undone',
      details:
        'Also ends what another appliance was executing, or had not begun, when it went away for good, once it is certain that its daemon does not run.',
      args: { operation: OPERATION, ...DRY_RUN },
      columns: OPERATION_COLUMNS,
      examples: [{ args: '<operation>', what: 'Its reason says what it may have left behind.' }],
      async run(context, { operation, 'dry-run': dryRun }) {
        const { client, out } = context;
        const input = { path: { id: operation } };
        if (dryRun) return preview(context, 'abandonOperation', input, { operation });
        const found = await client.call('abandonOperation', input);
        out.record(OPERATION_COLUMNS, found);
        out.hint('Look at the volume before it is used: volumectl volume explain.');
        return EXIT.OK;
      },
    }),
  ],
};
