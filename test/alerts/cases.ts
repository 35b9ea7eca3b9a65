/** Values of a series, one a minute, as promtool writes them. */
type Series = Readonly<Record<string, string>>;

interface Case {
  /** What has happened, for a reader. */
  readonly cause: string;
  /** The series that differ from those of a healthy daemon. */
  readonly series: Series;
}

const on = (name: string, labels = '') => `${name}{instance="appliance:8090"${labels}}`;
const DETECTIONS = 'volume_daemon_device_detection_seconds_bucket';
const APPLIANCE = ',appliance="vm-1"';
const CALL = ',command="listVolumes"';

/** A daemon that works: disks come, calls succeed but for one, syncs end. An hour. */
export const HEALTHY: Series = {
  [on('up', ',job="volume-daemon"')]: '1x60',
  [on('volume_daemon_dependency_up', ',dependency="database"')]: '1x60',
  [on('volume_daemon_dependency_up', ',dependency="cloudstack"')]: '1x60',
  [on('volume_daemon_dependency_degraded', ',dependency="cloudstack"')]: '0x60',
  [on('volume_daemon_epoch', APPLIANCE)]: '3x60',
  // Another appliance of the same Prometheus, which has its owner always.
  [on('volume_daemon_epoch', ',appliance="vm-2"')]: '7x60',
  [on('volume_daemon_operations_ended_total', ',type="attach",status="completed"')]: '0+1x60',
  [on('volume_daemon_operations_ended_total', ',type="attach",status="failed"')]: '2x60',
  [on('volume_daemon_operations_held')]: '0x60',
  [on('volume_daemon_oldest_operation_age_seconds', ',status="executing"')]: '20x60',
  [on('volume_daemon_oldest_operation_age_seconds', ',status="pending"')]: '0x60',
  [on('volume_daemon_drifts', ',kind="ghost-disk"')]: '0x60',
  [on('volume_daemon_last_sync_judged')]: '1x60',
  [on('volume_daemon_last_sync_timestamp_seconds')]: '0+60x60',
  [on('volume_daemon_export_probe_failures_total')]: '1x60',
  [on('volume_daemon_exports', ',status="active"')]: '4x60',
  [on('volume_daemon_exports', ',status="failed"')]: '0x60',
  [on(DETECTIONS, ',le="0.15"')]: '0+1x60',
  [on(DETECTIONS, ',le="5"')]: '0+1x60',
  [on(DETECTIONS, ',le="15"')]: '0+1x60',
  [on(DETECTIONS, ',le="+Inf"')]: '0+1x60',
  [on('volume_daemon_cloudstack_calls_total', CALL)]: '0+20x60',
  [on('volume_daemon_cloudstack_errors_total', `${CALL},kind="network"`)]: '1x60',
  [on('volume_daemon_cloudstack_clock_skew_seconds')]: '1x60',
  [on('volume_daemon_database_requests_waiting')]: '0x60',
  [on('nodejs_eventloop_lag_p99_seconds')]: '0.002x60',
};

/** One that has just started, or stands by: what only an owner knows is not there yet. */
export const IDLE: Series = {
  [on('up', ',job="volume-daemon"')]: '1x60',
  [on('volume_daemon_epoch', APPLIANCE)]: '1x60',
  [on('volume_daemon_last_sync_judged')]: '1x60',
  [on('volume_daemon_last_sync_timestamp_seconds')]: '0+60x60',
  [on('volume_daemon_operations_held')]: '0x60',
  [on('nodejs_eventloop_lag_p99_seconds')]: '0x60',
};

/** What each alert is for. */
export const CASES: Readonly<Record<string, Case>> = {
  VolumeDaemonDown: {
    cause: 'the process is gone',
    series: { [on('up', ',job="volume-daemon"')]: '1x5 0x55' },
  },
  VolumeDaemonDependencyDown: {
    cause: 'the database is away',
    series: { [on('volume_daemon_dependency_up', ',dependency="database"')]: '1x5 0x55' },
  },
  VolumeDaemonDependencyDegraded: {
    cause: 'a clock is 61 seconds wrong',
    series: { [on('volume_daemon_dependency_degraded', ',dependency="cloudstack"')]: '0x5 1x55' },
  },
  VolumeDaemonNoOwner: {
    cause: 'nobody owns the appliance',
    series: { [on('volume_daemon_epoch', APPLIANCE)]: '3x5 0x55' },
  },
  VolumeOperationsFailing: {
    cause: 'one operation after the other fails',
    series: { [on('volume_daemon_operations_ended_total', ',type="attach",status="failed"')]: '0+1x60' },
  },
  VolumeOperationHeld: {
    cause: 'an operation is held',
    series: { [on('volume_daemon_operations_held')]: '0x5 1x55' },
  },
  VolumeOperationStuck: {
    cause: 'an operation does not end',
    series: { [on('volume_daemon_oldest_operation_age_seconds', ',status="executing"')]: '0+60x60' },
  },
  VolumeOperationsQueue: {
    cause: 'an operation does not begin',
    series: { [on('volume_daemon_oldest_operation_age_seconds', ',status="pending"')]: '0+60x60' },
  },
  VolumeDrift: {
    cause: 'there is a ghost disk',
    series: { [on('volume_daemon_drifts', ',kind="ghost-disk"')]: '0x5 1x55' },
  },
  VolumeSyncNotJudging: {
    cause: 'a sync cannot look at everything',
    series: { [on('volume_daemon_last_sync_judged')]: '1x5 0x55' },
  },
  VolumeSyncOld: {
    cause: 'no sync ends any more',
    series: { [on('volume_daemon_last_sync_timestamp_seconds')]: '0x60' },
  },
  VolumeExportProbesFailing: {
    cause: 'an export does not answer',
    series: { [on('volume_daemon_exports', ',status="failed"')]: '0x5 1x55' },
  },
  VolumeDeviceDetectionSlow: {
    cause: 'every disk is found after more than five seconds',
    series: { [on(DETECTIONS, ',le="0.15"')]: '0x60', [on(DETECTIONS, ',le="5"')]: '0x60' },
  },
  CloudStackErrors: {
    cause: 'every call fails',
    series: { [on('volume_daemon_cloudstack_errors_total', `${CALL},kind="network"`)]: '0+20x60' },
  },
  CloudStackClockSkew: {
    cause: 'a clock is three minutes wrong',
    series: { [on('volume_daemon_cloudstack_clock_skew_seconds')]: '-180x60' },
  },
  VolumeDaemonDatabasePoolFull: {
    cause: 'forty requests wait for the database',
    series: { [on('volume_daemon_database_requests_waiting')]: '0x5 40x55' },
  },
  VolumeDaemonEventLoopSlow: {
    cause: 'the event loop is almost a second late',
    series: { [on('nodejs_eventloop_lag_p99_seconds')]: '0.002x5 0.9x55' },
  },
};
