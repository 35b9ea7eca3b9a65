/**
 * The calls of the programs that exist: the Go client (create to ListNBDExports), its failover and cleanup
 * engines, the command line cleanups, the shell scripts, and the operators' curl lines. Ids stand for
 * themselves as {id}. The snapshot calls of later versions of the daemon before this one are not in the
 * specification: LATER, and answered as what they are, not found.
 */
const CALLS = [
  'GET /health',
  'GET /api/v1/health',
  'GET /api/v1/metrics',
  'POST /api/v1/volumes',
  'GET /api/v1/volumes/{id}',
  'DELETE /api/v1/volumes/{id}',
  'POST /api/v1/volumes/{id}/attach',
  'POST /api/v1/volumes/{id}/attach-root',
  'POST /api/v1/volumes/{id}/detach',
  'GET /api/v1/volumes/{id}/device',
  'GET /api/v1/devices/{path}/volume',
  'GET /api/v1/vms/{id}/volumes',
  'GET /api/v1/operations',
  'GET /api/v1/operations/{id}',
  'POST /api/v1/cleanup/test-failover',
  'GET /api/v1/exports',
  'POST /api/v1/exports',
  'GET /api/v1/exports/{id}',
  'DELETE /api/v1/exports/{id}',
  'POST /api/v1/exports/validate',
  'POST /api/v1/admin/force-sync',
] as const;

export const LATER = [
  ['GET', '/api/v1/snapshots/vm/ctx-1'],
  ['DELETE', '/api/v1/snapshots/vm/ctx-1'],
] as const;

const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;

/**
 * Counts the calls that go to the daemon through `fetch`, and that were answered with success at least once.
 */
export class CallCount {
  private readonly original = globalThis.fetch;
  private readonly answered = new Map<string, number>();
  private url = '';

  /** From now on calls to this address are counted. */
  begin(url: string): void {
    this.url = url;
    globalThis.fetch = async (input, init) => {
      const answer = await this.original(input, init);
      const address = String(input);
      if (address.startsWith(this.url) && answer.ok) this.count(init?.method ?? 'GET', address);
      return answer;
    };
  }

  end(): void {
    globalThis.fetch = this.original;
  }

  missing(): string[] {
    return CALLS.filter((call) => !this.answered.has(call));
  }

  summary(): string {
    const made = [...this.answered.values()].reduce((sum, count) => sum + count, 0);
    const distinct = CALLS.length - this.missing().length;
    return `callers: ${distinct} of ${CALLS.length} calls of existing clients replayed, ${made} requests answered with success`;
  }

  private count(method: string, address: string): void {
    const path = (address.slice(this.url.length).split('?')[0] ?? '')
      .replace(UUID, '{id}')
      .replace(/^(\/api\/v1\/devices)\/.+\/volume$/, '$1/{path}/volume');
    const call = `${method} ${path}`;
    this.answered.set(call, (this.answered.get(call) ?? 0) + 1);
  }
}
