import type { AnyEndpoint } from './endpoint';
import * as devices from './endpoints/devices';
import * as diagnostics from './endpoints/diagnostics';
import * as exported from './endpoints/exports';
import * as operations from './endpoints/operations';
import * as service from './endpoints/service';
import * as volumes from './endpoints/volumes';

/** Every endpoint there is. A test checks it against the files under server/routes. */
export function endpoints(): readonly AnyEndpoint[] {
  return namedEndpoints().map(({ endpoint }) => endpoint);
}

/** With the names they have here, which are stable: `operationId` of the document, and the methods of the client made from it. */
export function namedEndpoints(): readonly { readonly name: string; readonly endpoint: AnyEndpoint }[] {
  const { EVENT_STREAM: _, ...streams } = operations;
  return [volumes, streams, devices, exported, service, diagnostics]
    .flatMap((room) => Object.entries<AnyEndpoint>(room).map(([name, endpoint]) => ({ name, endpoint })))
    .sort((a, b) => (a.endpoint.path < b.endpoint.path ? -1 : a.endpoint.path > b.endpoint.path ? 1 : 0));
}
