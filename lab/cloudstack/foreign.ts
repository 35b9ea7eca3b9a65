import type { Effect } from './history';
import type { CloudModel } from './model';
import type { Account } from './state/accounts';

/**
 * What an account did to volumes and VMs that are not its own: for a root administrator's key nothing
 * refuses that, so it has to be counted. `owner`: whose things it may touch, when that is another
 * account or a project's.
 */
export function foreignEffects(
  model: CloudModel,
  by: Account = model.account,
  owner: Account = by,
): readonly Effect[] {
  const ownerOf = new Map(
    [...model.volumes, ...model.vms].map(({ id, accountId }) => [id, accountId] as const),
  );
  return model.effects.filter((effect) => {
    const caller = effect.by ?? (effect.jobId === null ? null : model.jobs.get(effect.jobId)?.accountId);
    const touched = [effect.volumeId, effect.vmId].map((id) => (id ? ownerOf.get(id) : undefined));
    return caller === by.id && touched.some((accountId) => accountId !== undefined && accountId !== owner.id);
  });
}
