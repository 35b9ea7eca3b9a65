import type { AnyEndpoint } from './endpoint';
import * as devices from './endpoints/devices';
import * as exported from './endpoints/exports';
import * as operations from './endpoints/operations';
import * as service from './endpoints/service';
import * as volumes from './endpoints/volumes';

/** Every endpoint there is. A test checks it against the files under server/routes. */
export function endpoints(): readonly AnyEndpoint[] {
  const { EVENT_STREAM: _, ...streams } = operations;
  return [volumes, streams, devices, exported, service]
    .flatMap((room) => Object.values<AnyEndpoint>(room))
    .sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
}
