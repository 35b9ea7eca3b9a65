import { defineEventHandler } from 'h3';
import { readDeviceVolume } from '../../../../http/endpoints/devices';
import { noSuchRoute } from '../../../../http/request/known-routes';
import { sendProblem } from '../../../../http/response/problem';
import { mappingReply } from '../../../../http/response/replies';
import { serve } from '../../../../http/serve';

const volume = serve(readDeviceVolume, async ({ daemon, params }) =>
  mappingReply(await daemon.volumes.mappingByDevice(params.path)),
);

/** A device path may contain slashes, so this route matches everything below /devices. */
export default defineEventHandler((event) => {
  const asked = event.path.split('?')[0] ?? '/';
  const [, path] = /^\/api\/v1\/devices\/(.+)\/volume\/?$/.exec(asked) ?? [];
  if (path === undefined) return sendProblem(event, noSuchRoute(event.method, asked));
  event.context.params = { path };
  return volume(event);
});
