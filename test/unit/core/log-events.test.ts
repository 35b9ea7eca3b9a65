import { describe, expect, it } from 'vitest';
import * as events from '~/server/core/log/log-events';

describe('the key log events', () => {
  it('are those of the specification, word for word', () => {
    expect(Object.values(events)).toEqual(
      expect.arrayContaining([
        '🚀 Starting Volume Management Daemon...',
        '✅ CloudStack connectivity verified',
        '✅ Device polling monitor started successfully',
        'Creating CloudStack volume',
        '📎 New block device detected via polling',
        '✅ Device detected during volume attachment',
        '❌ CloudStack volume creation failed',
        '⚠️ No device detected during correlation timeout',
      ]),
    );
  });
});
