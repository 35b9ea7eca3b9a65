/** The REST API as the demo uses it: what any caller of the daemon could write. */
export interface OperationReply {
  readonly id: string;
  readonly type: string;
  readonly status: 'pending' | 'executing' | 'completed' | 'failed' | 'cancelled';
  readonly volume_id: string;
  readonly response?: Readonly<Record<string, unknown>>;
  readonly error?: string;
}

export interface ExportReply {
  readonly export_name: string;
  readonly port: number;
  readonly status: string;
  readonly device_path: string;
}

export class ApiClient {
  constructor(readonly url: string) {}

  async get<T>(path: string): Promise<T> {
    return this.call<T>('GET', path);
  }

  /** `key`: an Idempotency-Key, with which the same request may be sent again. */
  async post<T>(path: string, body?: unknown, key?: string): Promise<T> {
    return this.call<T>('POST', path, body, key);
  }

  async delete<T>(path: string): Promise<T> {
    return this.call<T>('DELETE', path);
  }

  /** Waits until the operation has ended; throws with the daemon's own words when it failed. */
  async end(operation: OperationReply): Promise<OperationReply> {
    let current = operation;
    while (current.status === 'pending' || current.status === 'executing') {
      current = await this.get<OperationReply>(`/api/v1/operations/${operation.id}?wait=25s`);
    }
    if (current.status !== 'completed')
      throw new Error(`${current.type} ${current.status}: ${current.error ?? 'no reason given'}`);
    return current;
  }

  private async call<T>(method: string, path: string, body?: unknown, key?: string): Promise<T> {
    const headers = {
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(key === undefined ? {} : { 'idempotency-key': key }),
    };
    const init: RequestInit = {
      method,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    };
    const answer = await fetch(this.url + path, init);
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: HTTP ${answer.status}: ${text}`);
    return JSON.parse(text);
  }
}
