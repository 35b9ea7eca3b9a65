import type { EventSourceMessage } from 'eventsource-parser';
import { choice, option } from '../arguments';
import { entryOf } from '../client/journal';
import { loneNoun } from '../command';
import { followEvents } from '../follow-events';
import { parseCount } from '../globals';

export const eventsNoun = loneNoun('events', {
  summary: 'Follow everything that happens',
  details:
    'Begins now, or with --after at an event of the past: the first column is its id. A connection that breaks is taken up again after the last step that came, so that none is missed; before the first one it is said that some may be. Ends with Ctrl-C.',
  args: {
    after: option('id', 'begin after this event; 0 for everything there is', 'last_event_id'),
    only: choice(
      {
        operation: 'steps of operations',
        device: 'disks that come and go',
        appliance: 'who owns the appliance, and what sync finds',
        traffic: 'what is copied into which volume',
      },
      'only events of this kind; traffic comes only when asked for',
    ),
    operation: { ...option('id', 'only those of this operation'), complete: 'operation' },
    limit: option('n', 'end after so many'),
  },
  examples: [
    { args: '', what: 'Until Ctrl-C.' },
    { args: '--after 0 --only operation --json', what: 'The whole journal, one JSON a line.' },
    { args: '--only device', what: 'Disks that come and go.' },
    { args: '--only traffic', what: 'What is copied into which volume, at most once a second.' },
  ],
  async run(context, args) {
    const limit = args.limit === undefined ? null : parseCount(args.limit, '--limit');
    const { after, only, operation } = args;
    const wanted = (message: EventSourceMessage) =>
      (only === undefined ? message.event !== 'traffic' : message.event === only) &&
      (operation === undefined || entryOf(message)?.operation_id === operation.toLowerCase());
    return followEvents(context, { after, limit, wanted });
  },
});
