import { describe, expect, it } from 'vitest';
import type { CloudVolume } from '~/server/cloudstack/cloud';
import { systemClock } from '~/server/core/clock';
import { ClockSteps } from '~/server/core/clock-steps';
import { resolveVolume } from '~/server/daemon/volumes/resolve-volume';
import { absent, seen, unknown } from '~/server/model/evidence';
import { cloudVolume } from '~/test/support/canned';

const A = 'aaaaaaaa-0000-4000-8000-000000000001';
const A2 = 'aaaaaaaa-0000-4000-8000-000000000002';
const B = 'bbbbbbbb-0000-4000-8000-000000000003';
const VM = 'c0000000-0000-4000-8000-00000000000c';

interface World {
  readonly volumes: readonly CloudVolume[];
  /** Mapped, and not shown to the key. */
  readonly hidden?: readonly string[];
  readonly sees?: boolean;
}

function resolve(reference: string, { volumes, hidden = [], sees = true }: World) {
  const evidence = (id: string) => {
    const found = volumes.find((one) => one.id === id);
    if (found) return seen(found, 0, 'cloudstack');
    return hidden.includes(id)
      ? unknown('not shown', 0, 'cloudstack')
      : absent('no such id', 0, 'cloudstack');
  };
  return resolveVolume(
    {
      cloud: {
        // As CloudStack compares: without regard to case and to spaces at the end.
        listVolumes: async ({ name }) =>
          volumes.filter((one) => one.name.trimEnd().toLowerCase() === name?.trimEnd().toLowerCase()),
        readVolume: async (id) => evidence(id),
        readVm: async (id) =>
          sees
            ? seen(
                {
                  id,
                  name: 'oma',
                  state: 'Running',
                  hypervisor: null,
                  created: null,
                  owner: volumes[0]?.owner ?? NOBODY,
                },
                0,
                'cloudstack',
              )
            : unknown('not shown', 0, 'cloudstack'),
      },
      catalogue: {
        look: async () => ({
          volumes,
          absent: new Map(),
          hidden: new Map(hidden.map((id) => [id, 'not shown'])),
          unavailable: [],
        }),
      },
      clock: systemClock,
      clockSteps: new ClockSteps(systemClock),
      ledger: () => ({ listMappings: async () => [], listOperations: async () => [] }),
      applianceVmId: () => VM,
    },
    reference,
  );
}
const NOBODY = { projectId: null, account: null, domainId: null };

describe('a reference to a volume', () => {
  it.each([
    ['a whole id', A.toUpperCase(), 'id'],
    ['the first eight characters', 'AAAAAAAA', 'id-prefix'],
    ['more of them', A.slice(0, 13), 'id-prefix'],
    ['a name', 'web-1', 'name'],
  ])('%s', async (_, reference, matchedBy) => {
    const world = { volumes: [cloudVolume(A, { name: 'web-1' }), cloudVolume(B, { name: 'db' })] };
    expect(await resolve(reference, world)).toMatchObject({ volume: { id: A }, matchedBy });
  });

  it.each([
    [
      'a name that two volumes have, one of them deleted',
      'web',
      [cloudVolume(A, { name: 'web' }), cloudVolume(B, { name: 'web', state: 'Destroy' })],
    ],
    ['a prefix of two ids', 'aaaaaaaa', [cloudVolume(A), cloudVolume(A2)]],
    [
      'a prefix that is the name of another volume',
      'aaaaaaaa',
      [cloudVolume(A), cloudVolume(B, { name: 'aaaaaaaa' })],
    ],
  ])('%s is refused with the candidates', async (_, reference, volumes) => {
    await expect(resolve(reference, { volumes })).rejects.toMatchObject({
      code: 'VOLUME_AMBIGUOUS',
      details: {
        reference,
        candidates: volumes.map(({ id, state }) => expect.objectContaining({ volume_id: id, state })),
      },
    });
  });

  it('a prefix also counts volumes that have a mapping and are not shown', async () => {
    await expect(resolve('aaaaaaaa', { volumes: [cloudVolume(A)], hidden: [A2] })).rejects.toMatchObject({
      code: 'VOLUME_AMBIGUOUS',
      message: expect.stringContaining(`${A2} (not shown)`),
    });
    await expect(resolve('aaaaaaaa', { volumes: [cloudVolume(B)], hidden: [A2] })).rejects.toMatchObject({
      code: 'VOLUME_NOT_VISIBLE',
      details: { volume_id: A2 },
    });
    // Nor is one a candidate whose own id begins otherwise.
    const alone = resolve('aaaaaaaa', { volumes: [cloudVolume(A)], hidden: [B] });
    expect(await alone).toMatchObject({ volume: { id: A } });
  });

  it.each([
    ['another case', 'Web-1'],
    ['a space at its end', 'web-1 '],
    ['a part of the name', 'web'],
    ['fewer than eight characters of an id', 'aaaaaaa'],
  ])('%s means nothing', async (_, reference) => {
    await expect(resolve(reference, { volumes: [cloudVolume(A, { name: 'web-1' })] })).rejects.toMatchObject({
      code: 'VOLUME_NOT_VISIBLE',
    });
  });

  it('a whole id that names nothing is said to, and a key that does not see this appliance proves nothing', async () => {
    await expect(resolve(B, { volumes: [cloudVolume(A)] })).rejects.toMatchObject({
      code: 'VOLUME_NOT_FOUND',
    });
    await expect(resolve(B, { volumes: [cloudVolume(A)], sees: false })).rejects.toMatchObject({
      code: 'VOLUME_NOT_VISIBLE',
    });
    await expect(
      resolve('web-1', { volumes: [cloudVolume(A, { name: 'web-1' })], sees: false }),
    ).rejects.toMatchObject({ code: 'VM_NOT_VISIBLE' });
  });
});
