import type { OperationReply } from '../../../server/http/schemas/operations';
import { change } from '../api';
import type { KeyOf, Outcome } from './act';

/** A request that starts an operation, with the name that it has among those of its act. */
export interface Start {
  readonly name: string;
  readonly method: 'POST' | 'DELETE';
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>>;
}

/**
 * Sends these one after the other, each under a key of its own. When one is refused and all are sent again,
 * the earlier ones answer with the operations that they have started.
 */
export async function startAll(starts: readonly Start[], keyOf: KeyOf): Promise<Outcome> {
  const operations: OperationReply[] = [];
  for (const { name, method, path, body } of starts)
    operations.push(await change<OperationReply>(method, path, body, keyOf(name)));
  return {
    text: 'Accepted. It goes on by itself, also when this page is closed.',
    operations: operations.map(({ id, type }) => ({ id, text: `Operation ${type} ${id}` })),
  };
}
