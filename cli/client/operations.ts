import type { z } from 'zod';
import type * as devices from '~/server/http/endpoints/devices';
import type * as diagnostics from '~/server/http/endpoints/diagnostics';
import type * as exported from '~/server/http/endpoints/exports';
import type * as operations from '~/server/http/endpoints/operations';
import type * as service from '~/server/http/endpoints/service';
import type * as volumes from '~/server/http/endpoints/volumes';
import type { DriftReply } from '~/server/http/schemas/service';

/**
 * The endpoint table of the server, as types only: requests and replies have the types of the schemas that
 * the server validates with, but neither the schemas nor zod get into the bundle of volumectl.
 */
type Endpoints = typeof devices &
  typeof diagnostics &
  typeof exported &
  typeof operations &
  typeof service &
  typeof volumes;

/** Method and path of the operations that volumectl uses. A test compares them with the endpoint table. */
export const OPERATIONS = {
  attachRootVolume: ['POST', '/api/v1/volumes/{id}/attach-root'],
  attachVolume: ['POST', '/api/v1/volumes/{id}/attach'],
  abandonOperation: ['POST', '/api/v1/operations/{id}/abandon'],
  cancelOperation: ['POST', '/api/v1/operations/{id}/cancel'],
  checkCloudstack: ['GET', '/api/v1/admin/cloudstack'],
  checkDatabase: ['GET', '/api/v1/admin/database'],
  cleanupTestFailover: ['POST', '/api/v1/cleanup/test-failover'],
  createVolume: ['POST', '/api/v1/volumes'],
  deleteVolume: ['DELETE', '/api/v1/volumes/{id}'],
  detachVolume: ['POST', '/api/v1/volumes/{id}/detach'],
  explainCorrelation: ['GET', '/api/v1/admin/correlation/{volume_id}'],
  forceSync: ['POST', '/api/v1/admin/force-sync'],
  health: ['GET', '/api/v1/health'],
  inspectGuest: ['GET', '/api/v1/admin/devices'],
  listDevices: ['GET', '/api/v1/devices'],
  listExports: ['GET', '/api/v1/exports'],
  listOfferings: ['GET', '/api/v1/admin/offerings'],
  listOperations: ['GET', '/api/v1/operations'],
  listVolumes: ['GET', '/api/v1/volumes'],
  listVmVolumes: ['GET', '/api/v1/vms/{id}/volumes'],
  listZones: ['GET', '/api/v1/admin/zones'],
  publishExport: ['POST', '/api/v1/exports'],
  readDeviceVolume: ['GET', '/api/v1/devices/{path}/volume'],
  readExport: ['GET', '/api/v1/exports/{volume_id}'],
  readOperation: ['GET', '/api/v1/operations/{id}'],
  readVolume: ['GET', '/api/v1/volumes/{id}'],
  readVolumeDevice: ['GET', '/api/v1/volumes/{id}/device'],
  readVolumeEvidence: ['GET', '/api/v1/volumes/{id}/evidence'],
  recoverVolume: ['POST', '/api/v1/volumes/{id}/recover'],
  resolveVolume: ['GET', '/api/v1/volumes/resolve'],
  retryOperation: ['POST', '/api/v1/operations/{id}/retry'],
  streamEvents: ['GET', '/api/v1/events'],
  streamOperation: ['GET', '/api/v1/operations/{id}/events'],
  validateExports: ['POST', '/api/v1/exports/validate'],
  withdrawExport: ['DELETE', '/api/v1/exports/{volume_id}'],
} as const satisfies { readonly [Name in keyof Endpoints]?: readonly ['GET' | 'POST' | 'DELETE', string] };

/** An operation by its `operationId` in the OpenAPI document. */
export type OperationName = keyof typeof OPERATIONS;
/** Operations that answer with a stream of server-sent events; all others answer with JSON. */
export type StreamName = 'streamEvents' | 'streamOperation';

/** What an operation answers with. */
export type Reply<Name extends OperationName> = z.output<Endpoints[Name]['reply']['schema']>;

/** Path parameters, query and body of an operation: those that it has, optional unless it requires them. */
export type Input<Name extends OperationName> = Part<'path', z.output<Endpoints[Name]['params']>> &
  Part<'query', QueryValues<z.output<Endpoints[Name]['query']>>> &
  Part<'body', z.output<Endpoints[Name]['body']>>;

/** What an endpoint declares as NONE has no keys of its own, and gets no member. */
type Part<Member extends string, Values> = string extends keyof Values
  ? object
  : Partial<Values> extends Values
    ? { readonly [Key in Member]?: Values | undefined }
    : { readonly [Key in Member]: Values };

/** The server parses the query out of text, so any value that has a text form may be passed. */
type QueryValues<Query> = { readonly [Key in keyof Query]?: string | number | boolean | undefined };

export type Operation = Reply<'readOperation'>;
export type Volume = Reply<'readVolume'>;
export type VolumeSummary = Reply<'listVolumes'>['volumes'][number];
export type Mapping = Reply<'readVolumeDevice'>;
export type Export = Reply<'readExport'>;
export type Health = Reply<'health'>;
export type Drift = DriftReply;
