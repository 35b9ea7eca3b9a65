import * as devices from './devices';
import * as diagnostics from './diagnostics';
import type { AnyEndpoint } from './endpoint';
import * as exported from './exports';
import * as operations from './operations';
import * as service from './service';
import * as volumes from './volumes';

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
