import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DaemonError } from '~/server/core/errors';
import { LIMITS } from '~/server/core/limits';
import { createLogger, detectFormat, type LogFormat, type LogLevel } from '~/server/core/log/create-logger';
import type { LogFields } from '~/server/core/log/logger';
import { createRedactor } from '~/server/core/redaction';

const FORMATS: readonly LogFormat[] = ['pretty', 'json', 'journald'];
const AT = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

interface Setting {
  readonly format: LogFormat;
  readonly level?: LogLevel;
  readonly secret?: string;
  readonly now?: () => number;
  readonly colours?: boolean;
}

function capture({ format, level = 'info', secret, now = () => AT, colours = false }: Setting) {
  const lines: string[] = [];
  const redactor = createRedactor();
  if (secret !== undefined) redactor.register(secret);
  const logger = createLogger({ level, format, redactor, now, colours, write: (line) => lines.push(line) });
  return { logger, lines };
}

/** The line of one record at level info. */
function lineOf(setting: Setting, fields: LogFields, message = 'It happened'): string {
  const { logger, lines } = capture(setting);
  logger.info(message, fields);
  expect(lines).toHaveLength(1);
  return lines[0] ?? '';
}

function parsed(fields: LogFields, setting: Partial<Setting> = {}): Record<string, unknown> {
  return JSON.parse(lineOf({ format: 'json', ...setting }, fields));
}

describe('the three formats', () => {
  const fields = { volume_id: 'v1', ms: 12, nothing: null, missing: undefined, two: 'a b' };

  it('json: one object with time, level, msg and the fields', () => {
    expect(lineOf({ format: 'json' }, fields)).toBe(
      '{"time":"2026-01-02T03:04:05.678Z","level":"info","msg":"It happened","volume_id":"v1","ms":12,"nothing":null,"two":"a b"}',
    );
  });

  it('journald: the same behind the priority of sd-daemon(3)', () => {
    const { logger, lines } = capture({ format: 'journald', level: 'debug' });
    logger.error('e');
    logger.warn('w');
    logger.info('i');
    logger.debug('d');
    expect(lines.map((line) => line.slice(0, 4))).toEqual(['<3>{', '<4>{', '<6>{', '<7>{']);
    expect(JSON.parse(lines[0]?.slice(3) ?? '')).toEqual({
      time: new Date(AT).toISOString(),
      level: 'error',
      msg: 'e',
    });
  });

  it('pretty: for people, without what is null', () => {
    expect(lineOf({ format: 'pretty' }, fields)).toBe(
      '03:04:05.678 INFO  It happened volume_id=v1 ms=12 two="a b"',
    );
  });

  it('pretty in colours says the same', () => {
    const line = lineOf({ format: 'pretty', colours: true }, fields);
    expect(line).toContain('\u001b[36mINFO ');
    expect(line.replace(/\u001b\[\d+m/g, '')).toBe(lineOf({ format: 'pretty' }, fields));
  });

  it('the emoji of the key log events arrive as they are', () => {
    for (const format of FORMATS)
      expect(lineOf({ format }, {}, '⚠️ No device detected during correlation timeout')).toContain(
        '⚠️ No device detected',
      );
  });
});

describe('levels', () => {
  it.each<[LogLevel, string[]]>([
    ['error', ['error']],
    ['warn', ['error', 'warn']],
    ['info', ['error', 'warn', 'info']],
    ['debug', ['error', 'warn', 'info', 'debug']],
  ])('%s', (level, expected) => {
    const { logger, lines } = capture({ format: 'json', level });
    logger.error('error');
    logger.warn('warn');
    logger.info('info');
    logger.debug('debug');
    expect(lines.map((line) => JSON.parse(line).msg)).toEqual(expected);
  });

  it('a repeated record is written every time, even when the clock steps back', () => {
    let time = AT;
    const { logger, lines } = capture({ format: 'json', now: () => (time -= 1_000) });
    for (let count = 0; count < 50; count++) logger.info('again');
    expect(lines).toHaveLength(50);
  });
});

describe('fields', () => {
  it('cannot take the place of time, level and message', () => {
    expect(parsed({ level: 'error', msg: 'forged', time: 'never' })).toEqual({
      time: new Date(AT).toISOString(),
      level: 'info',
      msg: 'It happened',
      level_: 'error',
      msg_: 'forged',
      time_: 'never',
    });
  });

  it('of every kind become plain data', () => {
    const circle: Record<string, unknown> = { name: 'c' };
    circle.self = circle;
    expect(
      parsed({
        circle,
        big: 2n ** 64n,
        nan: Number.NaN,
        date: new Date(AT),
        wrong: new Date(Number.NaN),
        bytes: Buffer.from('0123'),
        map: new Map([['a', 1]]),
        set: new Set([1, 2]),
        url: new URL('http://h/p'),
        call: () => 1,
        list: [1, [2, null]],
        same: [circle.name, circle.name],
      }),
    ).toMatchObject({
      circle: { name: 'c', self: '[circular]' },
      big: '18446744073709551616',
      nan: 'NaN',
      date: new Date(AT).toISOString(),
      wrong: 'invalid date',
      bytes: '[4 bytes]',
      map: { a: 1 },
      set: [1, 2],
      url: 'http://h/p',
      call: '[function]',
      list: [1, [2, null]],
      same: ['c', 'c'],
    });
  });

  it('that throw when they are read do not make logging throw', () => {
    const trap = new Proxy(
      {},
      {
        ownKeys: () => {
          throw new Error('no');
        },
      },
    );
    const getter = {
      get value() {
        throw new Error('no');
      },
    };
    expect(parsed({ trap, getter, fine: 1 })).toMatchObject({
      trap: '[unreadable]',
      getter: '[unreadable]',
      fine: 1,
    });
  });

  it('are bounded in number, length and depth', () => {
    let deep: unknown = 'bottom';
    for (let depth = 0; depth < 50; depth++) deep = { deep };
    const line = lineOf(
      { format: 'json' },
      { many: Array.from({ length: 5_000 }, (_, index) => index), long: 'x'.repeat(100_000), deep },
    );
    const record = JSON.parse(line);
    expect(record.many).toHaveLength(LIMITS.LOG_ENTRIES + 1);
    expect(record.long).toMatch(/^x{4000}… \(96000 more characters\)$/);
    expect(line).toContain('"[deep]"');
    expect(line).not.toContain('bottom');
  });

  it('too many for one line of the journal are cut, and the line stays JSON', () => {
    const fields = Object.fromEntries(
      Array.from({ length: 60 }, (_, index) => [`f${index}`, '💾'.repeat(1_900)]),
    );
    const line = lineOf({ format: 'journald' }, fields);
    expect(Buffer.byteLength(line)).toBeLessThanOrEqual(LIMITS.LOG_LINE_BYTES);
    expect(JSON.parse(line.slice(3))).toMatchObject({
      level: 'info',
      msg: 'It happened',
      cut: expect.stringContaining('f0'),
    });
  });
});

describe('errors in fields', () => {
  it('show code, message, details and every cause', () => {
    const root = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:3306'), { code: 'ECONNREFUSED' });
    const error = new DaemonError('DATABASE_UNAVAILABLE', 'The database is away', {
      cause: root,
      details: { host: 'db' },
    });
    expect(parsed({ error }).error).toEqual({
      code: 'DATABASE_UNAVAILABLE',
      message: 'The database is away',
      details: { host: 'db' },
      cause: { code: 'ECONNREFUSED', message: 'connect ECONNREFUSED 127.0.0.1:3306' },
    });
  });

  it('have a stack at debug, and at any level when they are our own mistake', () => {
    const known = new DaemonError('INTERNAL', 'known');
    expect(parsed({ error: known }).error).not.toHaveProperty('stack');
    expect(parsed({ error: known }, { level: 'debug' }).error).toHaveProperty('stack');
    expect(parsed({ error: new TypeError('x is undefined') }).error).toMatchObject({
      name: 'TypeError',
      stack: expect.stringContaining('logging.test'),
    });
  });

  it('whose causes go in a circle, or which hold many errors, end', () => {
    const first = new Error('first');
    const second = new Error('second', { cause: first });
    first.cause = second;
    expect(parsed({ error: first }).error).toMatchObject({
      message: 'first',
      cause: { message: 'second', cause: '[circular]' },
    });
    expect(parsed({ error: new AggregateError([new Error('a'), 'b'], 'all') }).error).toMatchObject({
      errors: [{ message: 'a' }, 'b'],
    });
  });
});

describe('no field can forge a line, a field or an escape sequence', () => {
  const hostile = 'x\n<3>{"level":"error"}\r\u2028\u2029\u0085\u001b[2J\u009b31m\u202e level=error';

  it.each(FORMATS)('%s', (format) => {
    for (const line of [
      lineOf({ format }, { name: hostile }),
      lineOf({ format }, { [hostile]: 1 }),
      lineOf({ format }, { nested: { name: hostile } }),
      lineOf({ format }, { error: new Error(hostile) }),
      lineOf({ format }, {}, hostile),
    ])
      expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e]/);
  });

  it('json keeps the meaning of what it escapes', () => {
    expect(parsed({ name: hostile }).name).toBe(hostile);
  });

  it('pretty quotes what could be taken for another field', () => {
    expect(lineOf({ format: 'pretty' }, { name: '[a level=error' })).toMatch(/name="\[a level=error"$/);
  });

  it('property: one record is one line, and JSON stays JSON', () => {
    fc.assert(
      fc.property(
        fc.dictionary(
          fc.string(),
          fc.anything({
            withBigInt: true,
            withDate: true,
            withMap: true,
            withSet: true,
            withNullPrototype: true,
          }),
        ),
        fc.constantFrom(...FORMATS),
        (fields, format) => {
          const line = lineOf({ format }, fields);
          expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/);
          if (format !== 'pretty')
            expect(JSON.parse(line.replace(/^<6>/, ''))).toMatchObject({ msg: 'It happened', level: 'info' });
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('the canary: a registered secret is in no output', () => {
  /** Every place a secret could come from. */
  function everywhere(secret: string): LogFields {
    const cause = Object.assign(new Error(`cause ${secret}`), { code: `code ${secret}` });
    return {
      plain: secret,
      [secret]: 'as a name',
      within: `before${secret}after`,
      list: [secret, [secret]],
      nested: {
        deep: { secret_free_name: secret, map: new Map([[secret, secret]]), set: new Set([secret]) },
      },
      error: new DaemonError('INTERNAL', `message ${secret}`, { cause, details: { text: secret } }),
      typed: new TypeError(secret),
      several: new AggregateError([new Error(secret)], secret),
      url: new URL(`http://host/?q=${encodeURIComponent(secret)}`),
      query: encodeURIComponent(secret),
      json: JSON.stringify({ text: secret }),
      bytes: Buffer.from(secret),
      symbol: Symbol(secret),
      long: `${'x'.repeat(LIMITS.LOG_TEXT_CHARACTERS - 2)}${secret}`,
    };
  }

  const formsOf = (secret: string) => [
    secret,
    JSON.stringify(secret).slice(1, -1),
    encodeURIComponent(secret),
  ];

  it.each(FORMATS.flatMap((format) => (['info', 'debug'] as const).map((level) => [format, level] as const)))(
    '%s at %s',
    (format, level) => {
      for (const secret of ['canary-Tweet-4711', 'Ca/na+ry==', 'ca"na\\ry\n4711', 'kanarienvögel 💾 4711']) {
        const { logger, lines } = capture({ format, level, secret });
        logger.error(`message ${secret}`, everywhere(secret));
        const output = lines.join('\n');
        expect(output).toContain('***');
        for (const form of formsOf(secret)) expect(output).not.toContain(form);
      }
    },
  );

  it('property: whatever the secret is', () => {
    const secret = fc.string({ minLength: 6, maxLength: 30 }).filter((text) => !text.includes('*'));
    fc.assert(
      fc.property(secret, fc.constantFrom(...FORMATS), (hidden, format) => {
        const { logger, lines } = capture({ format, level: 'debug', secret: hidden });
        // Spaces at the ends may stand next to our own signs; what is between them is the secret.
        logger.error('It happened', { a: hidden, b: { c: [`x${hidden}y`] }, e: new Error(hidden) });
        const quiet = capture({ format, level: 'debug', secret: hidden });
        quiet.logger.error('It happened', { a: '-', b: { c: ['x-y'] }, e: new Error('-') });
        const count = (text: string) => text.split(hidden).length;
        expect(count(lines.join(''))).toBeLessThanOrEqual(count(quiet.lines.join('')));
      }),
      { numRuns: 300 },
    );
  });

  it('values of fields with secret names are masked without being registered', () => {
    for (const format of FORMATS) {
      const line = lineOf(
        { format },
        {
          password: 'hunter2',
          request: {
            headers: [{ Authorization: 'hunter2' }],
            apiKey: 'hunter2',
            token: { value: 'hunter2' },
          },
        },
      );
      expect(line).not.toContain('hunter2');
    }
    expect(parsed({ password: null }).password).toBeNull();
  });

  it('a secret never corrupts the line, even one that looks like a part of it', () => {
    const record = parsed({ level_of: 'info' }, { secret: 'info' });
    expect(record).toMatchObject({ level: 'info', level_of: '***' });
  });
});

describe('the format for where the output goes', () => {
  it('journald only when this very output is the journal: children of a service inherit the variable', () => {
    const env = { JOURNAL_STREAM: '9:4711' };
    expect(detectFormat(env, { isTerminal: false, stream: '9:4711' })).toBe('journald');
    expect(detectFormat(env, { isTerminal: false, stream: '9:4712' })).toBe('json');
    expect(detectFormat(env, { isTerminal: true, stream: '5:3' })).toBe('pretty');
  });

  it('pretty on a terminal, JSON elsewhere', () => {
    expect(detectFormat({}, { isTerminal: true, stream: null })).toBe('pretty');
    expect(detectFormat({}, { isTerminal: false, stream: null })).toBe('json');
    expect(detectFormat({ JOURNAL_STREAM: '' }, { isTerminal: false, stream: '' })).toBe('json');
  });
});
