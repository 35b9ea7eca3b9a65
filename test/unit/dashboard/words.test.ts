import { describe, expect, it } from 'vitest';
import { type Context, subject } from '~/dashboard/src/views/words';
import type { OperationReply } from '~/server/http/schemas/operations';

const VOLUME = '0b5a2e4c-54b3-4f37-9f5c-6d2a3f1e7b90';
const context: Context = {
  nameOf: (id) => (id === VOLUME ? 'disk-1' : ''),
  applianceId: () => null,
};
const of = (type: OperationReply['type'], request: OperationReply['request'], volume_id = VOLUME) =>
  subject(context, { type, request, volume_id } as OperationReply);

describe('what an operation is about', () => {
  it('is the volume, also where the request names something else', () => {
    expect(of('attach', {})).toBe('disk-1');
    expect(of('snapshot', { name: 'before-cutover' })).toBe('of disk-1');
    expect(of('revert', { snapshot_id: 'x' })).toBe('of disk-1');
    expect(of('resize', { size: 1 }, '9c5a2e4c-54b3-4f37-9f5c-6d2a3f1e7b90')).toBe('9c5a2e4c');
  });

  it('is the name that was asked for, where there is no volume yet, or several', () => {
    expect(of('create', { name: 'disk-2' }, '')).toBe('disk-2');
    expect(of('snapshot-group', { name: 'before-cutover' }, '')).toBe('before-cutover');
    expect(of('delete-snapshot', { snapshot_id: 'x' }, '')).toBe('');
  });
});
