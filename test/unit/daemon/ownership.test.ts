import { describe, expect, it } from 'vitest';
import type { Clock } from '~/server/core/clock';
import { DaemonError } from '~/server/core/errors';
import { silentLogger } from '~/server/core/log/logger';
import { Ownership } from '~/server/daemon/ownership';
import type { Owner } from '~/server/model/ledger';
import type { EngineParts } from '~/server/operations/parts';

const OTHER: Owner = {
  owner: 'other:8090 pid 1',
  instance: '',
  epoch: 4,
  since: 0,
  lease: { until: 4_000, leftMs: 4_000 },
};

describe('a daemon that cannot find out who owns the appliance', () => {
  it('says so once until it can, however often it looks: a database may be away for days', async () => {
    const answers: (Owner | null)[] = [null, null, null, OTHER, null, null];
    const told: string[] = [];
    const ended = new Promise<void>((resolve) => {
      const clock: Clock = { now: () => 0, monotonic: () => 0, sleep: async () => {} };
      const unused = async (): Promise<never> => {
        throw new Error('is not called');
      };
      const ownership = new Ownership(
        {
          ledger: {
            readOwner: async () => {
              const answer = answers.shift();
              if (answer) return answer;
              if (answer === undefined) {
                void ownership.stop();
                resolve();
              }
              throw new DaemonError('DATABASE_UNAVAILABLE', `connect ECONNREFUSED, try ${answers.length}`);
            },
            takeOver: unused,
            renewLease: unused,
            releaseLease: unused,
          },
          engineParts: {} as EngineParts,
          clock,
          logger: { ...silentLogger, warn: (message) => void told.push(message) },
          owner: 'this:8090 pid 2',
          instances: { mine: '', hasEnded: () => false },
        },
        () => {},
      );
      ownership.start('appliance');
    });
    await ended;
    const once = 'The ownership of the appliance could not be settled';
    expect(told).toEqual([once, once]);
  });
});
