import { pathOf } from '../client/client';
import { type Input, OPERATIONS, type OperationName } from '../client/operations';
import type { Context } from '../context';
import { EXIT } from '../exit';
import { OPERATION_COLUMNS } from './columns';
import { explainVolume } from './explain-volume';

/** What a request is about, which --dry-run shows as it is now. */
type Subject = { readonly volume: string } | { readonly operation: string } | 'something new';

/**
 * What --dry-run does: prints the request that is not sent, and what is known of its subject. Whether the
 * daemon would accept the request now is not known; what it refuses, it refuses without doing anything.
 * Throws when the subject does not exist.
 */
export async function preview<Name extends OperationName>(
  context: Context,
  name: Name,
  input: Input<Name>,
  subject: Subject,
): Promise<number> {
  const { client, out } = context;
  const [method, template] = OPERATIONS[name];
  const body = ('body' in input && input.body) || null;
  const request = { method, path: pathOf(template, input, {}), body };
  const say = () => {
    out.say('Nothing is done. Without --dry-run this would be asked of the daemon:', 'bold');
    out.say(`  ${method} ${request.path}${body === null ? '' : ` ${JSON.stringify(body)}`}`);
  };
  if (subject === 'something new') {
    if (out.isData) out.data({ dry_run: true, request });
    else say();
    return EXIT.OK;
  }
  if ('operation' in subject) {
    const operation = await client.call('readOperation', { path: { id: subject.operation } });
    if (out.isData) out.data({ dry_run: true, request, operation });
    else {
      say();
      out.section('The operation as it is now', OPERATION_COLUMNS, [operation], '');
    }
    return EXIT.OK;
  }
  const volume = await client.call('readVolumeEvidence', { path: { id: subject.volume } });
  if (out.isData) {
    out.data({ dry_run: true, request, volume });
    return EXIT.OK;
  }
  say();
  out.say('');
  return explainVolume(out, volume);
}
