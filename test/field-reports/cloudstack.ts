import { systemClock } from '~/server/core/clock';
import { must, type Report, SECOND_MS } from './scene';

const HOUR_MS = 3_600_000;
const NOBODY = '99999999-9999-4999-8999-999999999999';

/** What was seen with a real CloudStack 4.20; D1 to D6 are A8, C3, A1, A2, C4 and C6. */
export const CLOUDSTACK: readonly Report[] = [
  {
    id: 'D7',
    title: 'an appliance in a project, with the key of a member: nothing works',
    options: { cloud: { account: 'plain' } },
    run: async (scene) => {
      const project = scene.model.accounts.addProject('migration', ['plain']);
      Object.assign(scene.model.inventory.vm('', 'id', scene.here), { accountId: project.id });
      for (const root of scene.model.volumes.filter(({ vmId }) => vmId === scene.here))
        Object.assign(root, { accountId: project.id });
      await scene.restartDaemon();
      const made = await scene.run('POST', '/api/v1/volumes', scene.walk.createBody('in a project'));
      must(made.status === 'completed', `the create ${made.status}: ${made.error}`);
      const attached = await scene.attach(made.volume_id);
      must(attached.status === 'completed', `the attach ${attached.status}: ${attached.error}`);
    },
  },
  {
    id: 'D8',
    title: 'CloudStack has another time and no Date header: the difference is never known',
    options: { cloud: { clock: { ...systemClock, now: () => Date.now() + 2 * HOUR_MS } } },
    run: async (scene) => {
      const known = await scene.until(async () => {
        await scene.sync();
        return /skew[a-z_]*"?:? ?-?"?\+?-?7[12]\d\d/i.test((await scene.call('GET', '/api/v1/health')).text);
      }, 20 * SECOND_MS);
      must(known, 'health does not show the two hours');
    },
  },
  {
    id: 'D9a',
    title: 'a create in a zone that does not exist ends without ZONE_NOT_FOUND',
    run: async (scene) => {
      const body = { ...scene.walk.createBody('nowhere'), zone_id: NOBODY };
      const answer = await scene.call('POST', '/api/v1/volumes', body);
      const code =
        answer.status === 201
          ? (await scene.end(String(answer.body.id))).error_code
          : String(answer.body.code);
      must(code === 'ZONE_NOT_FOUND', `the code is ${code}`);
    },
  },
  {
    id: 'D9b',
    title: 'an attach to a VM that does not exist ends without VM_NOT_FOUND',
    run: async (scene) => {
      const ended = await scene.attach(await scene.walk.create('no VM'), NOBODY);
      must(ended.error_code === 'VM_NOT_FOUND', `the code is ${ended.error_code}`);
    },
  },
];
