import { beforeEach, describe, expect, it } from 'vitest';
import type { ExportTarget } from '~/server/exports/export-server';
import { WantedExports } from '~/server/exports/wanted-exports';

const VOLUME = '11111111-2222-4333-8444-555555555555';
const target: ExportTarget = {
  name: 'migration-vol',
  volumeId: VOLUME,
  devicePath: '/dev/vdb',
  size: 5,
  dev: '253:16',
  diskseq: 7,
};
const overtaken = { code: 'EXPORT_SERVER_UNHEALTHY' };

let wanted: WantedExports;
beforeEach(() => {
  wanted = new WantedExports();
});

describe('a publish under way', () => {
  it('is joined by one that wants the same', () => {
    const mine = wanted.want(target);
    expect(wanted.want({ ...target, readOnly: false })).toBe(mine);
    expect(() => wanted.assertCurrent(mine)).not.toThrow();
    expect(wanted.current(target.name)).toBe(mine);
  });

  it.each<[string, Partial<ExportTarget>]>([
    ['for another device', { devicePath: '/dev/vdc' }],
    ['for another size', { size: 6 }],
    ['for another node', { dev: '253:32' }],
    ['for another plug', { diskseq: 8 }],
    ['for reading only', { readOnly: true }],
  ])('is overtaken by one %s, and takes nothing from that when it fails', (_how, fields) => {
    const mine = wanted.want(target);
    const theirs = wanted.want({ ...target, ...fields });
    expect(() => wanted.assertCurrent(mine)).toThrow(expect.objectContaining(overtaken));
    expect(wanted.giveUp(mine)).toBe(false);
    expect(wanted.current(target.name)).toBe(theirs);
    expect(wanted.giveUp(theirs)).toBe(true);
    expect(wanted.current(target.name)).toBeNull();
  });

  it('is overtaken by a withdrawal, also where somebody publishes the same again after it', () => {
    const mine = wanted.want(target);
    wanted.withdraw(target.name);
    expect(() => wanted.assertCurrent(mine)).toThrow(expect.objectContaining(overtaken));
    const again = wanted.want(target);
    expect(again).not.toBe(mine);
    expect(wanted.giveUp(mine)).toBe(false);
    expect(() => wanted.assertCurrent(again)).not.toThrow();
  });
});
