import { describe, expect, it } from 'vitest';
import { missingPath, parsePlaceholderPath, remotePath } from '~/server/model/placeholder-path';

const VOLUME = 'aaaaaaaa-0000-4000-8000-000000000001';
const VM = '22222222-2222-4222-8222-222222222222';

describe('placeholder paths', () => {
  it('are what other programs find in device_mappings', () => {
    expect(missingPath(VOLUME)).toBe('missing-aaaaaaaa-0000-4000-8000-000000000001');
    expect(remotePath(VM, VOLUME)).toBe(
      'remote-vm-22222222-2222-4222-8222-222222222222-aaaaaaaa-0000-4000-8000-000000000001',
    );
  });

  it('read back as they were made', () => {
    expect(parsePlaceholderPath(missingPath(VOLUME))).toEqual({ kind: 'missing', volumeId: VOLUME });
    expect(parsePlaceholderPath(remotePath(VM, VOLUME))).toEqual({
      kind: 'remote',
      vmId: VM,
      volumeId: VOLUME,
    });
  });

  it.each([
    '/dev/vdb',
    '',
    'missing-',
    'missing-vdb',
    'remote-vm-',
    `remote-vm-${VM}`,
    `remote-vm-${VM}-`,
    `remote-vm-${VM}_${VOLUME}`,
    `remote-vm-${VM}-${VOLUME}x`,
    `/dev/${missingPath(VOLUME)}`,
  ])('are nothing else: %s', (path) => {
    expect(parsePlaceholderPath(path)).toBeNull();
  });
});
