import { LIMITS } from '~/server/core/limits';
import type { AnyEndpoint } from '~/server/http/endpoints/endpoint';
import type { SeededRandom } from './seeded-random';

export interface FuzzRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | null;
}

/** Things that exist, so that some requests succeed. */
export interface Known {
  readonly volumes: readonly [string, ...string[]];
  readonly vms: readonly [string, ...string[]];
  readonly operations: readonly [string, ...string[]];
  readonly zone: string;
  readonly offering: string;
}

const METHODS = ['GET', 'HEAD', 'POST', 'DELETE', 'PUT', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND'] as const;
const NOBODY = '00000000-0000-4000-8000-000000000000';

/** Text known to break programs. None of it breaks a request line: that is for ./send-malformed.ts. */
const HOSTILE: readonly [string, ...string[]] = [
  '..',
  '../../../etc/passwd',
  "' OR 1=1 -- ",
  '"; DROP TABLE device_mappings; --',
  '$(reboot)',
  '`id`',
  '{{7*7}}',
  '<script>alert(1)</script>',
  '\u0000',
  '\u202Eevil',
  '\uFFFD',
  '𝕍𝕠𝕝𝕦𝕞𝕖',
  '__proto__',
  'constructor',
  'NaN',
  '-1',
  '1e999',
  '9007199254740993',
  'null',
  'true',
  '%',
  '%zz',
  '%c0%ae',
  '[object Object]',
  'a'.repeat(300),
  '\n[Export]\nprerun = /bin/sh',
  '//evil.example/x',
  '*',
  ' ',
];

export class RequestMaker {
  constructor(
    private readonly random: SeededRandom,
    private readonly known: Known,
    private readonly endpoints: readonly [AnyEndpoint, ...AnyEndpoint[]],
  ) {}

  next(): FuzzRequest {
    const { random } = this;
    const endpoint = random.pick(this.endpoints);
    const method = random.happens(0.93) ? endpoint.method : random.pick(METHODS);
    const path = this.path(endpoint) + this.query(endpoint);
    const body = this.body(endpoint, method);
    return { method, path, headers: this.headers(body), body };
  }

  private path({ path }: AnyEndpoint): string {
    if (this.random.happens(0.02)) return `/${this.encoded()}/${this.encoded()}`;
    const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => this.parameter(path, name));
    return this.random.happens(0.03)
      ? filled + this.random.pick(['/', '//', '/x', '%2f', ';x=1', '.json'])
      : filled;
  }

  private parameter(path: string, name: string): string {
    const { random, known } = this;
    if (random.happens(0.25)) return this.encoded();
    if (name === 'path')
      return random.pick(['vdb', 'dev%2Fvdb', '%2Fdev%2Fvdb', 'dev/vdb', 'vdzz', 'sda', '..%2Fvdb']);
    if (path.includes('/operations/')) return this.almost(random.pick(known.operations));
    return this.almost(random.pick(path.includes('/vms/') ? known.vms : known.volumes));
  }

  /** The UUID, or one that is almost right. */
  private almost(uuid: string): string {
    const { random } = this;
    if (random.happens(0.6)) return uuid;
    return random.pick([
      NOBODY,
      uuid.toUpperCase(),
      uuid.slice(0, -1),
      `${uuid}0`,
      uuid.replaceAll('-', ''),
      `{${uuid}}`,
      `${uuid}%00`,
      `%20${uuid}`,
      `${uuid}%0a`,
      encodeURIComponent(`${uuid}'`),
    ]);
  }

  private encoded(): string {
    return encodeURIComponent(this.random.pick(HOSTILE));
  }

  private query({ path, waits }: AnyEndpoint): string {
    const { random } = this;
    if (random.happens(0.5)) return '';
    const parts: string[] = [];
    for (let count = 1 + random.below(3); count > 0; count -= 1) {
      const name = random.pick([
        'limit',
        'type',
        'status',
        'volume_id',
        'vm_id',
        'since',
        'cursor',
        'wait',
        'force',
        'dry_run',
        'vm_name',
        'last_event_id',
        '__proto__',
        'a[]',
        '',
        'limit',
      ]);
      parts.push(`${name}=${this.queryValue(name)}`);
    }
    // Mostly dry runs: the requests are under test, not the sync.
    if (path.endsWith('/force-sync') && random.happens(0.9)) parts.push('dry_run=true');
    if (waits && random.happens(0.2))
      parts.push(random.pick(['wait=1ms', 'wait=0', 'wait=20ms', 'wait=x', 'wait=-1']));
    return `?${parts.join('&')}`;
  }

  private queryValue(name: string): string {
    const { random, known } = this;
    if (random.happens(0.3)) return random.pick([this.encoded(), '%', '%00', '', '+', '=&=']);
    switch (name) {
      case 'limit':
        return random.pick(['1', '7', '1000', '0', '1001', '1.5', '-1']);
      case 'type':
        return random.pick([
          'create',
          'attach',
          'detach',
          'delete',
          'recover',
          'cleanup',
          'resize',
          'delete-snapshot',
          'ATTACH',
          'attach,detach',
        ]);
      case 'status':
        return random.pick([
          'pending',
          'executing',
          'completed',
          'failed',
          'cancelled',
          'active',
          'Completed',
        ]);
      case 'volume_id':
        return this.almost(random.pick(known.volumes));
      case 'vm_id':
        return this.almost(random.pick(known.vms));
      case 'since':
        return random.pick([
          '2025-01-01T00:00:00Z',
          '2025-01-01',
          '1735689600000',
          '9999-12-31T23:59:59Z',
          'now',
        ]);
      case 'force':
      case 'dry_run':
        return random.pick(['true', 'false', '1', '0', 'maybe', 'TRUE']);
      case 'wait':
        return random.pick(['0', '5ms', '-1', '1m', 'forever']);
      default:
        return random.pick(['1', '42', '9007199254740991', '9007199254740992', 'x']);
    }
  }

  private headers(body: Buffer | null): Record<string, string> {
    const { random } = this;
    const headers: Record<string, string> = {};
    if (body && random.happens(0.7))
      headers['content-type'] = random.pick([
        'application/json',
        'application/json',
        'application/json; charset=utf-8',
        'application/x-www-form-urlencoded',
        'text/plain',
        'multipart/form-data; boundary=x',
        'application/xml',
        'image/png',
        '',
      ]);
    const maybe = (probability: number, name: string, values: readonly [string, ...string[]]) => {
      if (random.happens(probability)) headers[name] = random.pick(values);
    };
    maybe(0.1, 'idempotency-key', [
      'k1',
      'k2',
      'k'.repeat(128),
      'k'.repeat(129),
      ' ',
      '\u00fc',
      `${random.fraction()}`,
    ]);
    maybe(0.05, 'prefer', ['wait=0', 'respond-async', 'wait', 'wait=x', 'handling=lenient, wait=0']);
    maybe(0.05, 'if-none-match', ['*', '"x"', 'W/"x", "y"', '"', '']);
    maybe(0.05, 'x-request-id', ['mine', 'a b', 'x'.repeat(65), '<b>', '']);
    maybe(0.03, 'origin', ['http://evil.example', 'null', 'http://127.0.0.1', 'https://']);
    maybe(0.03, 'sec-fetch-site', ['cross-site', 'same-origin', 'none']);
    maybe(0.03, 'host', [
      'evil.example',
      'localhost',
      '[::1]:80',
      '127.0.0.1.evil.example',
      '999.1.1.1',
      ':',
      '',
    ]);
    maybe(0.03, 'authorization', ['Bearer x', 'Bearer ', 'Basic eDp4', 'Bearer']);
    maybe(0.03, 'accept', ['text/html', 'application/xml', '*/*;q=0', '']);
    maybe(0.03, 'content-encoding', ['gzip', 'identity', 'br', 'deflate, gzip']);
    maybe(0.03, 'last-event-id', ['0', '5', '-1', 'x', '99999999999999999999']);
    maybe(0.02, 'cookie', ['a=b', `c=${'x'.repeat(6000)}`]);
    maybe(0.02, 'x-forwarded-host', ['evil.example']);
    maybe(0.02, 'x-http-method-override', ['DELETE']);
    return headers;
  }

  private body({ bodyExample, path }: AnyEndpoint, method: string): Buffer | null {
    const { random } = this;
    if (method === 'GET' || method === 'HEAD') return random.happens(0.02) ? Buffer.from('{}') : null;
    if (random.happens(0.1)) return null;
    const right = this.rightBody(path, bodyExample);
    if (random.happens(0.35)) return json(right);
    if (random.happens(0.5)) return json(this.mutated(right));
    return this.brokenBody(right);
  }

  private rightBody(path: string, example: unknown): Record<string, unknown> {
    const { random, known } = this;
    const body: Record<string, unknown> = isObject(example) ? { ...example } : {};
    if ('vm_id' in body) body.vm_id = random.pick(known.vms);
    if ('volume_id' in body) body.volume_id = random.pick(known.volumes);
    if ('test_vm_id' in body) body.test_vm_id = random.pick(known.vms);
    if ('oma_vm_id' in body) body.oma_vm_id = random.pick(known.vms);
    // Mostly with ids that CloudStack refuses, so that the simulated CloudStack does not fill up.
    if (path === '/api/v1/volumes' && random.happens(0.05)) {
      body.zone_id = known.zone;
      body.disk_offering_id = known.offering;
      body.name = `fuzz-${random.below(1e9)}`;
    }
    return body;
  }

  private mutated(right: Record<string, unknown>): unknown {
    const { random } = this;
    const names = Object.keys(right);
    const name = names[random.below(names.length)] ?? 'x';
    const odd: readonly [unknown, ...unknown[]] = [
      null,
      true,
      0,
      -1,
      1.5,
      1e308,
      '',
      ' ',
      [],
      {},
      [[]],
      { a: 1 },
      NOBODY,
      random.pick(HOSTILE),
      random.pick(HOSTILE),
      'x'.repeat(300),
      { toString: 1 },
      Array.from({ length: 100 }, (_, index) => index),
    ];
    switch (random.below(5)) {
      case 0:
        return Object.fromEntries(Object.entries(right).filter(([key]) => key !== name));
      case 1:
        return { ...right, [random.pick(HOSTILE)]: random.pick(odd) };
      case 2:
        return { ...right, metadata: this.metadata(odd) };
      case 3:
        return random.pick<unknown>([right, [right], [], 'text', 7, null, { ...right, ...right }]);
      default:
        return { ...right, [name]: random.pick(odd) };
    }
  }

  private metadata(odd: readonly [unknown, ...unknown[]]): unknown {
    const { random } = this;
    if (random.happens(0.2)) return random.pick(odd);
    const count = random.pick([1, 3, 64, 65]);
    return Object.fromEntries(
      Array.from({ length: count }, (_, index) => [`${random.pick(HOSTILE)}${index}`, random.pick(odd)]),
    );
  }

  private brokenBody(right: unknown): Buffer {
    const { random } = this;
    const text = JSON.stringify(right);
    return random.pick([
      Buffer.from(text.slice(0, random.below(text.length))),
      Buffer.from(`${text}x`),
      Buffer.from(''),
      Buffer.from('   '),
      Buffer.from([0xff, 0xfe, 0x7b, 0x7d]),
      Buffer.from('\uFEFF{}'),
      Buffer.from('{"vm_id":"\\ud800"}'),
      Buffer.from('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}'),
      Buffer.from(`{"a":${'['.repeat(5_000)}${']'.repeat(5_000)}}`),
      Buffer.from(`{"size":1${'0'.repeat(400)}}`),
      Buffer.from('vm_id=1&x=2'),
      Buffer.from('<volume/>'),
      Buffer.alloc(random.pick([LIMITS.BODY_BYTES, LIMITS.BODY_BYTES + 1, 2 * LIMITS.BODY_BYTES]), 0x20),
    ]);
  }
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value) ?? '');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
