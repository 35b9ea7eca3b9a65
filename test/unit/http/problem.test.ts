import { createError } from 'h3';
import { describe, expect, it } from 'vitest';
import { CloudError, type CloudErrorKind } from '~/server/cloudstack/cloud';
import { DaemonError } from '~/server/core/errors';
import { problemOf } from '~/server/http/response/problem';

const CONTEXT = { requestId: 'r1', instance: '/api/v1/x' };

describe('the reply of an error', () => {
  it('keeps the message, the code and the details of a domain error', () => {
    const { status, body, headers } = problemOf(
      new DaemonError('VOLUME_ATTACHED_ELSEWHERE', 'Volume v is already attached to VM w', {
        details: { vm_id: 'w' },
      }),
      CONTEXT,
    );
    expect(status).toBe(409);
    expect(headers).toEqual({});
    expect(body).toMatchObject({
      type: 'urn:volume-daemon:error:volume-attached-elsewhere',
      error: 'Volume v is already attached to VM w',
      detail: 'Volume v is already attached to VM w',
      code: 'VOLUME_ATTACHED_ELSEWHERE',
      details: { vm_id: 'w' },
      instance: '/api/v1/x',
      request_id: 'r1',
    });
  });

  it('has Retry-After with every 503', () => {
    expect(problemOf(new DaemonError('STANDBY', 'x'), CONTEXT).headers['Retry-After']).toBe('5');
    expect(
      problemOf(new DaemonError('STARTING', 'x', { retryAfterSeconds: 0.2 }), CONTEXT).headers['Retry-After'],
    ).toBe('1');
  });

  it.each<[CloudErrorKind, number, string]>([
    ['network', 503, 'CLOUDSTACK_UNAVAILABLE'],
    ['rate-limit', 503, 'CLOUDSTACK_UNAVAILABLE'],
    ['internal', 503, 'CLOUDSTACK_UNAVAILABLE'],
    ['configuration', 503, 'CLOUDSTACK_NOT_CONFIGURED'],
    ['authentication', 502, 'CLOUDSTACK_AUTH'],
    ['permission', 502, 'CLOUDSTACK_REJECTED'],
    ['quota', 502, 'CLOUDSTACK_QUOTA'],
    ['parameter', 502, 'CLOUDSTACK_REJECTED'],
    ['unsupported', 502, 'CLOUDSTACK_REJECTED'],
  ])('turns a CloudStack %s error into %i %s and keeps its message', (kind, status, code) => {
    const error = new CloudError('CloudStack API error 431: no such thing', {
      kind,
      outcome: 'final',
      code: 431,
      text: 'no such thing',
    });
    const problem = problemOf(error, CONTEXT);
    expect(problem.status).toBe(status);
    expect(problem.body).toMatchObject({ code, details: { cloudstack_code: 431 } });
    expect(problem.body.error).toContain('CloudStack API error 431');
  });

  it('uses the domain error that h3 has wrapped', () => {
    const wrapped = createError(new DaemonError('EXPORT_NOT_FOUND', 'Export not found'));
    expect(problemOf(wrapped, CONTEXT).body.code).toBe('EXPORT_NOT_FOUND');
  });

  it('gives errors of h3 the codes of the catalogue', () => {
    expect(problemOf(createError({ statusCode: 404 }), CONTEXT).body.code).toBe('NOT_FOUND');
    expect(problemOf(createError({ statusCode: 405 }), CONTEXT).body.code).toBe('METHOD_NOT_ALLOWED');
  });

  it('reveals only the request id of an unexpected error', () => {
    const error = new Error('ER_ACCESS_DENIED password=hunter2');
    const { status, body } = problemOf(error, CONTEXT);
    expect({ status, code: body.code }).toEqual({ status: 500, code: 'INTERNAL' });
    expect(JSON.stringify(body)).not.toMatch(/hunter2|ER_ACCESS|at .*\.ts/);
    expect(body.error).toContain('r1');
    expect(problemOf('a string', CONTEXT).status).toBe(500);
    expect(problemOf(undefined, CONTEXT).status).toBe(500);
  });
});
