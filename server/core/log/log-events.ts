/** The key log events of the specification, word for word, because operators grep for them. */
export const DAEMON_STARTING = '🚀 Starting Volume Management Daemon...';
export const CLOUDSTACK_VERIFIED = '✅ CloudStack connectivity verified';
export const MONITOR_STARTED = '✅ Device polling monitor started successfully';
export const VOLUME_CREATING = 'Creating CloudStack volume';
export const DEVICE_ADDED = '📎 New block device detected via polling';
export const DEVICE_FOUND = '✅ Device detected during volume attachment';
export const VOLUME_CREATE_FAILED = '❌ CloudStack volume creation failed';
export const NO_DEVICE = '⚠️ No device detected during correlation timeout';
// In the same style, for what the specification's monitor also reports
export const DEVICE_REMOVED = '📎 Block device removed';
export const DEVICE_CHANGED = '📎 Block device changed';
