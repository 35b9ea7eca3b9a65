import { describe, expect, it } from 'vitest';
import { seen, unknown } from '~/server/model/evidence';
import type { Mutation } from '~/server/operations/action';
import { permit } from '~/server/operations/decide/permit';
import type { DiskUse, Guards, Intent } from '~/server/operations/decision';
import { detach, fromHere, here } from './mutations';
import { ROWS_OF_ATTACHES } from './permit-rows/attaches';
import { ROWS_OF_DETACHES } from './permit-rows/detaches';
import { ROWS_OF_VMS } from './permit-rows/vms';
import { CLIENT, guards, LEAVING, MOUNT, policy, usedBy } from './situations';

const ROWS = [...ROWS_OF_ATTACHES, ...ROWS_OF_DETACHES, ...ROWS_OF_VMS];

function told(command: Mutation, about: Intent, looked: Partial<Guards>): string {
  const answer = permit(command, about, guards(looked), policy);
  return answer.verdict === 'wait' || answer.verdict === 'refuse'
    ? `${answer.verdict} ${answer.code}`
    : answer.verdict;
}

describe('may this mutation leave now?', () => {
  it.each(ROWS)('%s', (_story, command, about, looked, verdict) => {
    expect(told(command, about, looked)).toBe(verdict);
  });

  it('has a row for every command that begins with "go"', () => {
    const allowed = new Set(ROWS.filter(([, , , , verdict]) => verdict === 'go').map(([, { name }]) => name));
    expect([...allowed].sort()).toEqual([
      'attachVolume',
      'createVolume',
      'deleteVolume',
      'destroyVirtualMachine',
      'destroyVolume',
      'detachVolume',
      'recoverVolume',
      'stopVirtualMachine',
    ]);
  });

  it('names who uses the disk, how many clients are connected, and since when nothing flows', () => {
    const busy = (traffic: DiskUse['traffic'], ...holders: DiskUse['holders']) => {
      const answer = permit(
        detach,
        fromHere,
        guards({ volume: here, use: { ...usedBy(...holders), ...(traffic && { traffic }) } }),
        policy,
      );
      return answer.verdict === 'refuse' ? { said: answer.message, details: answer.details } : null;
    };
    const flow = { readBytes: 0, writtenBytes: 0, readRate: null, writeRate: null, observedForMs: 60_000 };
    const silent = (lastIoAgoMs: number | null) => seen({ ...flow, lastIoAgoMs }, 100_000, 'guest');
    expect(busy(silent(40_000), CLIENT, LEAVING)).toMatchObject({
      said: expect.stringContaining(
        '; 1 NBD client connected, the last I/O was 40 s ago, at 1970-01-01T00:01',
      ),
      details: { clients: 1, last_io_at: '1970-01-01T00:01:00.000Z' },
    });
    expect(busy(silent(null), CLIENT, CLIENT)).toMatchObject({
      said: expect.stringMatching(
        /; 2 NBD clients connected, no I\/O since the daemon began to look 60 s ago$/,
      ),
      details: { clients: 2, last_io_at: null },
    });
    expect(busy(unknown('no counters', 0, 'guest'), CLIENT, MOUNT)).toMatchObject({
      said: expect.stringMatching(/; 1 NBD client connected; the last I\/O is not known: no counters$/),
      details: { clients: 1, last_io_at: null },
    });
    expect(busy(undefined, MOUNT)?.said).toMatch(/is in use, .*: .*\/mnt\/data$/);
  });

  it('says why, whenever it is not "go"', () => {
    for (const [, command, about, looked] of ROWS) {
      const answer = permit(command, about, guards(looked), policy);
      const words =
        answer.verdict === 'go' ? 'go' : answer.verdict === 'refuse' ? answer.message : answer.reason;
      expect(words.length).toBeGreaterThan(1);
    }
  });
});
