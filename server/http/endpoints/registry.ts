import * as devices from './devices';
import * as diagnostics from './diagnostics';
import type { AnyEndpoint } from './endpoint';
import * as exported from './exports';
import * as operations from './operations';
import * as service from './service';
import * as volumes from './volumes';

/** Every endpoint. A test compares them with the files under server/routes. */
export function endpoints(): readonly AnyEndpoint[] {
  return namedEndpoints().map(({ endpoint }) => endpoint);
}

/** With their names, which are stable: they are the `operationId`s of the OpenAPI document. */
export function namedEndpoints(): readonly { readonly name: string; readonly endpoint: AnyEndpoint }[] {
  return [volumes, operations, devices, exported, service, diagnostics]
    .flatMap((module) => Object.entries<AnyEndpoint>(module).map(([name, endpoint]) => ({ name, endpoint })))
    .sort((a, b) => (a.endpoint.path < b.endpoint.path ? -1 : a.endpoint.path > b.endpoint.path ? 1 : 0));
}
