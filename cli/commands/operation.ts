import type { JournalEntry, Operation } from '../client/api';
import { EXIT, type Noun, verb } from '../command';
import type { Context } from '../context';
import { entryOf, hasEnded } from '../follow';
import { parseCount } from '../globals';
import { JOURNAL, OPERATION, OPERATION_RECORD } from './columns';
import { awaited, ended } from './outcome';

const operation = {
  type: 'positional',
  required: true,
  valueHint: 'id',
  description: 'id of the operation',
  complete: 'operation',
  field: 'id',
} as const;

export const operationNoun: Noun = {
  name: 'operation',
  alias: 'operations',
  summary: 'See what was asked for, where it is, and cancel it',
  verbs: [
    verb({
      name: 'list',
      summary: 'List operations, newest first',
      args: {
        type: {
          type: 'enum',
          options: ['create', 'attach', 'detach', 'delete', 'cleanup'],
          description: 'only of this type',
          field: 'type',
        },
        status: {
          type: 'enum',
          options: ['pending', 'executing', 'completed', 'failed', 'cancelled'],
          description: 'only in this status',
          field: 'status',
        },
        volume: {
          type: 'string',
          valueHint: 'id',
          description: 'only of this volume',
          complete: 'volume',
          field: 'volume_id',
        },
        vm: { type: 'string', valueHint: 'id', description: 'only of this VM', field: 'vm_id' },
        since: {
          type: 'string',
          valueHint: 'time',
          description: 'only since this time, like 2026-08-19T20:30:00Z',
          field: 'since',
        },
        limit: {
          type: 'string',
          valueHint: 'n',
          description: 'at most so many (default 20)',
          field: 'limit',
        },
        all: { type: 'boolean', description: 'all of them, in pages of --limit' },
      },
      columns: OPERATION,
      examples: [
        { line: 'volumectl operation list --status executing', what: 'What is going on.' },
        {
          line: 'volumectl operation list --status failed --limit 5',
          what: 'What went wrong lately, and why.',
        },
        {
          line: 'volumectl operation list --volume <id> --all --json',
          what: 'The whole history of a volume.',
        },
      ],
      async run(context, args) {
        const { type, status, volume, vm, since } = args;
        const limit = parseCount(args.limit ?? (args.all ? '1000' : '20'), '--limit');
        const query = { type, status, volume_id: volume, vm_id: vm, since, limit: String(limit) };
        context.out.table(
          OPERATION,
          args.all
            ? await allPages(context, query)
            : await context.api.listOperations({ query }, context.call),
          'There is no such operation.',
        );
        return EXIT.OK;
      },
    }),
    verb({
      name: 'show',
      summary: 'Show an operation and every step of it',
      args: { operation },
      columns: OPERATION_RECORD,
      examples: [
        { line: 'volumectl operation show <operation>', what: 'Where it is, or why it has failed.' },
      ],
      async run(context, args) {
        const { api, out, call } = context;
        const found = await api.readOperation({ path: { id: args.operation } }, call);
        const journal = await journalSoFar(context, found);
        if (out.settings.json) out.json({ ...found, journal });
        else {
          out.record(OPERATION_RECORD, found);
          if (out.settings.columns === undefined) out.section('Steps', JOURNAL, journal, 'None yet.');
        }
        return EXIT.OK;
      },
    }),
    verb({
      name: 'watch',
      summary: 'Wait until an operation has ended, naming its step',
      details: 'A daemon that restarts meanwhile is waited for, up to a minute. Exit code 3 when it fails.',
      args: { operation },
      columns: OPERATION_RECORD,
      examples: [
        { line: 'volumectl operation watch <operation>', what: 'Until it has ended.' },
        {
          line: 'volumectl operation watch <operation> --timeout 2m',
          what: 'For two minutes; then exit code 4.',
        },
      ],
      async run(context, args) {
        const found = await context.api.readOperation({ path: { id: args.operation } }, context.call);
        return ended(context, hasEnded(found) ? found : await awaited(context, found));
      },
    }),
    verb({
      name: 'cancel',
      summary: 'Cancel an operation that CloudStack has not been asked for yet',
      args: { operation },
      columns: OPERATION_RECORD,
      examples: [{ line: 'volumectl operation cancel <operation>', what: 'Refused when it is too late.' }],
      async run({ api, out, call }, args) {
        const found = await api.cancelOperation({ path: { id: args.operation } }, call);
        out.record(OPERATION_RECORD, found);
        if (!hasEnded(found)) out.hint('It is asked to stop; it does so before its next call of CloudStack.');
        return EXIT.OK;
      },
    }),
  ],
};

/** Follows the Link headers. */
async function allPages(
  { api, call }: Context,
  query: Readonly<Record<string, string | undefined>>,
): Promise<Operation[]> {
  const all: Operation[] = [];
  let cursor: string | undefined;
  do {
    let link = '';
    const page = await api.listOperations(
      { query: { ...query, cursor } },
      {
        ...call,
        onHeaders: (headers) => {
          link = String(headers.link ?? '');
        },
      },
    );
    all.push(...page);
    cursor = /[?&]cursor=(\d+)[^>]*>\s*;\s*rel="next"/.exec(link)?.[1];
  } while (cursor !== undefined);
  return all;
}

/** The journal as far as it goes: the stream of an operation begins with it. */
async function journalSoFar({ api, call }: Context, { id, status }: Operation): Promise<JournalEntry[]> {
  const enough = new AbortController();
  const signal = AbortSignal.any([enough.signal, ...(call.signal ? [call.signal] : [])]);
  const entries: JournalEntry[] = [];
  // Of one that has not ended the stream stays open: what is there comes at once, and then there is a pause.
  const pause = () => setTimeout(() => enough.abort(), hasEnded({ status }) ? 10_000 : 300);
  let timer = pause();
  try {
    for await (const event of api.streamOperation({ path: { id } }, { ...call, signal })) {
      clearTimeout(timer);
      const entry = entryOf(event);
      if (entry) entries.push(entry);
      timer = pause();
    }
  } catch (error) {
    if (!enough.signal.aborted) throw error;
  } finally {
    clearTimeout(timer);
  }
  return entries;
}
