import { flag } from '../arguments';
import { ApiError, ConnectionError } from '../client/errors';
import { loneNoun } from '../command';
import type { Context } from '../context';
import { runErrand } from '../daemon-program';
import { EXIT, UsageError } from '../exit';
import { LIST } from '../globals';
import { DRIFT_COLUMNS } from './columns';
import { sync } from './service';

export const adoptNoun = loneNoun('adopt', {
  summary: 'See what taking over the database of the old daemon does, before it is done',
  details:
    'With --plan: while the daemon does not run, reads the database, CloudStack, the guest and the exports with the settings of /etc/default/volume-daemon, changes nothing, and prints as JSON which operations end as failed, ' +
    'which rows stay as they are, and what the first sync will do. While the daemon runs, the same as "volumectl sync --dry-run"; from then on sync may delete rows that the old daemon has left. ' +
    'With --undo: there is nothing to undo in the database. Adoption adds columns and indexes and renames nothing: stop this daemon and the socket of its exports, and start nbd-server and the old daemon.',
  args: {
    plan: flag('show it'),
    undo: flag('how to go back'),
    ...LIST,
  },
  columns: DRIFT_COLUMNS,
  examples: [
    { args: '--plan', what: 'Before the first start, and once after it.' },
    { args: '--undo', what: 'How to go back to the old daemon.' },
  ],
  async run(context, { plan, undo }) {
    if (undo) {
      context.out.hint(
        'Nothing to undo in the database: every statement of the old daemon works on it as it is. systemctl disable --now volume-daemon volume-daemon-nbd.socket (which has the port of the exports), then start nbd-server and the old daemon.',
      );
      return EXIT.OK;
    }
    if (!plan) throw new UsageError('adopt needs --plan or --undo', 'volumectl adopt --plan');
    try {
      return await sync(context, { dryRun: true });
    } catch (error) {
      const away = error instanceof ConnectionError || (error instanceof ApiError && error.notReady);
      // The settings and the guest of this machine are not those of another one.
      if (!away || context.isElsewhere) throw error;
      return planOffline(context);
    }
  },
});

/** The daemon does not run: its program reads everything and changes nothing. */
function planOffline({ out }: Context): number {
  out.data(JSON.parse(runErrand({ name: '--adopt-plan', timeoutMs: PLAN_TIMEOUT_MS })));
  return EXIT.OK;
}

const PLAN_TIMEOUT_MS = 5 * 60_000;
