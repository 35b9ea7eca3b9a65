import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectedSerial } from '~/server/devices/correlation';
import { Walk } from './walk';

const VOLUMES = 16;
/** More on demand: a hundred take six minutes on two processors. */
const RUNS = Number(process.env.EQUAL_SIZE_RUNS ?? 30);
let walk: Walk;

beforeAll(async () => {
  walk = await Walk.begin({
    cloud: { latencies: { create: 5, attach: 5, detach: 5, remove: 5 } },
    env: { NBD_BACKEND: 'none' },
  });
});
afterAll(() => walk?.close());

describe('equal sizes', () => {
  it(
    `${VOLUMES} volumes of one size attached at once map to the right devices, ${RUNS} runs`,
    async () => {
      const ids = await Promise.all(
        Array.from({ length: VOLUMES }, (_, index) => walk.create(`equal-${index}`)),
      );
      let right = 0;
      let wrong = 0;
      for (let run = 0; run < RUNS; run += 1) {
        await Promise.all(ids.map((id) => walk.attach(id)));
        const mappings =
          await walk.api.get<{ volume_id: string; device_path: string; serial: string }[]>('/api/v1/devices');
        for (const id of ids) {
          const mapping = mappings.find(({ volume_id }) => volume_id === id);
          // The truth is what the guest plugged, not what the daemon says of it.
          const isRight =
            mapping !== undefined &&
            mapping.device_path === walk.lab.guest.devicePath(id) &&
            mapping.serial === expectedSerial(id);
          if (isRight) right += 1;
          else wrong += 1;
        }
        await Promise.all(ids.map((id) => walk.detach(id)));
      }
      console.log(`equal sizes: ${right} mappings right, ${wrong} wrong, in ${RUNS} runs of ${VOLUMES}`);
      expect({ right, wrong }).toEqual({ right: RUNS * VOLUMES, wrong: 0 });
    },
    20 * 60_000,
  );
});
