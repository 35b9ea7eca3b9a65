import { afterAll, beforeAll, describe } from 'vitest';
import { content } from './content';
import { faults } from './faults';
import { limits } from './limits';
import { machines } from './machines';
import { owners } from './owners';
import { reads } from './reads';
import { volumes } from './volumes';
import { QUICK, type StartCloud, World } from './world';

/** The promises of the CloudStack port, kept by the client over HTTP and by the model in process alike. */
export function cloudContract(name: string, start: StartCloud): void {
  describe(`the CloudStack port: ${name}`, () => {
    let world: World;
    beforeAll(async () => {
      world = new World(await start({ latencies: QUICK }));
    });
    afterAll(() => world?.under.stop());

    reads(() => world);
    volumes(() => world);
    machines(() => world);
    content(() => world);
    faults(() => world);
    limits(start);
    owners(start);
  });
}
