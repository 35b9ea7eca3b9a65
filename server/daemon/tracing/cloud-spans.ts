import type { CloudCallListener } from '../../cloudstack/wire/signed-calls';
import type { Tracing } from '../../core/tracing';

type CloudCall = Parameters<CloudCallListener>[0];

/** A call to CloudStack that has ended, as a span of what has asked for it. Its parameters are not in it. */
export function recordCloudCall(tracing: Tracing, { command, ms, error }: CloudCall): void {
  const span = tracing.begin(`cloudstack ${command}`, {
    kind: 'client',
    startMs: Date.now() - ms,
    attributes: { 'volume_daemon.cloudstack.command': command, 'peer.service': 'cloudstack' },
  });
  if (error !== null) {
    span.set({ 'volume_daemon.cloudstack.code': error.code });
    span.fail(error.kind);
  }
  span.end();
}
