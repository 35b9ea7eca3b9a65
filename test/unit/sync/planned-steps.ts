import type { Observation } from '~/server/sync/observation';
import { plan } from '~/server/sync/plan';

/** The steps of a plan in words. */
export function steps(o: Observation): string[] {
  return plan(o).map(({ steps: list }) =>
    list
      .flatMap((step): string[] => {
        if (step.kind === 'publish') return [`publish ${step.device.path}`];
        if (step.kind === 'withdraw') return ['withdraw'];
        return step.effects.map((effect) => {
          if (effect.kind === 'set-export-status') return `set-export-status ${effect.status}`;
          if (effect.kind !== 'put-mapping') return effect.kind;
          const { linuxState, devicePath } = effect.mapping;
          return `put-mapping ${linuxState}${linuxState === 'detected' ? ` ${devicePath}` : ''}`;
        });
      })
      .join(', '),
  );
}
