import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { correlate } from '~/server/devices/correlation';
import { knowable, randomWorld } from './random-worlds';

/**
 * `CORRELATION_WORLDS=2000000 npx vitest run test/unit/devices/correlation-property.test.ts` looks longer.
 */
const WORLDS = Number(process.env.CORRELATION_WORLDS ?? 100_000);

describe(`correlation in ${WORLDS} random worlds`, () => {
  it('never maps a wrong disk, and never refuses what can be known', { timeout: 3 * WORLDS }, () => {
    const count = { found: 0, waiting: 0, refused: 0, knowable: 0, wrong: 0, needless: 0 };
    fc.assert(
      fc.property(randomWorld, (random) => {
        const answer = correlate(random.world);
        const right = knowable(random);
        count[answer.kind] += 1;
        if (right !== null) count.knowable += 1;
        const truth =
          answer.kind === 'found' ? random.disks.find(({ device }) => device === answer.device) : null;
        const twin = random.disks.some(({ volumeId, fresh }) => volumeId === random.world.volume.id && fresh);
        // A wrong disk is another volume's, the system's own, or the ghost of this volume while its new plug
        // is there.
        const wrong =
          truth !== null &&
          (truth?.volumeId !== random.world.volume.id ||
            truth.device.name === 'vda' ||
            (twin && !truth.fresh));
        const needless = right !== null && !(answer.kind === 'found' && answer.device === right);
        if (wrong) count.wrong += 1;
        if (needless) count.needless += 1;
        expect({ wrong, needless }).toEqual({ wrong: false, needless: false });
        expect(answer.considered).toHaveLength(random.world.devices.length);
      }),
      { numRuns: WORLDS },
    );
    console.log(
      `correlation: ${WORLDS} worlds, ${count.wrong} wrong mappings, ${count.needless} needless refusals ` +
        `(${count.knowable} with one knowable answer; found ${count.found}, waiting ${count.waiting}, refused ${count.refused})`,
    );
    // The worlds must not be trivial, or the zeros mean nothing.
    expect(count.knowable).toBeGreaterThan(WORLDS / 6);
    expect(count.refused).toBeGreaterThan(WORLDS / 50);
  });
});
