import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { findTarget, parseMoment, parsePairs, parseSize, parseTime } from '~/cli/globals';
import { entryText } from '~/cli/journal-text';
import { type Column, pick, renderRecord, renderTable } from '~/cli/output/table';
import { paint, timeText, visible } from '~/cli/output/text';
import { durationText, sizeText } from '~/cli/output/units';
import type { JournalEntryReply } from '~/server/http/schemas/operations';
import { JOURNAL_STATES } from '~/server/model/operation';

const dir = mkdtempSync(join(tmpdir(), 'volumectl-unit-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe('where the daemon is', () => {
  const defaults = join(dir, 'defaults');
  const nowhere = { VOLUMECTL_DEFAULTS: join(dir, 'none') };
  const place = (given: object, env: NodeJS.ProcessEnv, content?: string) => {
    if (content !== undefined) writeFileSync(defaults, content);
    const target = findTarget(given, {
      VOLUMECTL_DEFAULTS: content === undefined ? nowhere.VOLUMECTL_DEFAULTS : defaults,
      ...env,
    });
    return { at: target.socket ?? target.url.origin, tokenFile: target.tokenFile };
  };

  it.each([
    [{}, {}, undefined, 'http://127.0.0.1:8090'],
    [{}, {}, 'PORT=9000', 'http://127.0.0.1:9000'],
    [{}, {}, 'HOST=::\nPORT=9000', 'http://127.0.0.1:9000'],
    [{}, {}, 'HOST=fd00::1', 'http://[fd00::1]:8090'],
    [{}, {}, "UNIX_SOCKET='/run/vd.sock'\nPORT=9000", '/run/vd.sock'],
    [{}, { VOLUMECTL_URL: 'http://other:1' }, 'UNIX_SOCKET=/run/vd.sock', 'http://other:1'],
    [{ socket: '/a' }, { VOLUMECTL_URL: 'http://other:1' }, undefined, '/a'],
    [{ url: 'other:7' }, { VOLUMECTL_SOCKET: '/b' }, undefined, 'http://other:7'],
    [{ url: 'https://proxy/x' }, {}, undefined, 'https://proxy'],
  ])('given %j, environment %j, defaults %j: %s', (given, env, content, at) => {
    expect(place(given, env, content).at).toBe(at);
  });

  it('the token file that is named for it', () => {
    expect(place({}, {}, 'TOKEN_FILE=/etc/t').tokenFile).toBe('/etc/t');
    expect(place({ url: 'http://x' }, { VOLUMECTL_TOKEN_FILE: '/env' }).tokenFile).toBe('/env');
    expect(place({}, { VOLUMECTL_TOKEN_FILE: '/env' }, 'TOKEN_FILE=/etc/t').tokenFile).toBe('/env');
    expect(place({ tokenFile: '/given' }, { VOLUMECTL_TOKEN_FILE: '/env' }).tokenFile).toBe('/given');
    expect(place({}, {}).tokenFile).toBeNull();
  });

  it('a token is not sent to a daemon that it was not named for', () => {
    expect(place({ url: 'http://x' }, {}, 'TOKEN_FILE=/etc/t').tokenFile).toBeNull();
    expect(place({}, { VOLUMECTL_SOCKET: '/a' }, 'TOKEN_FILE=/etc/t').tokenFile).toBeNull();
  });

  it.each([
    [{}, {}, false],
    [{ url: 'http://127.0.0.1:9' }, {}, false],
    [{ url: 'http://[::1]:9' }, {}, false],
    [{ socket: '/a' }, {}, false],
    [{ url: 'http://10.0.0.5:8090' }, {}, true],
    [{}, { VOLUMECTL_URL: 'http://east:8090' }, true],
  ])('given %j, environment %j: that of another machine, %j', (given, env, isElsewhere) => {
    expect(findTarget(given, { ...nowhere, ...env }).isElsewhere).toBe(isElsewhere);
  });

  it.each([
    ['http://x:8090/api/v1', 'http://x:8090/'],
    ['http://x:8090/api/v1/', 'http://x:8090/'],
    ['https://proxy/east/api/v1', 'https://proxy/east/'],
    ['https://proxy/east', 'https://proxy/east'],
  ])('the base URL of the API stands for its daemon: %s', (url, meant) => {
    expect(findTarget({ url }, nowhere).url.href).toBe(meant);
  });

  it('contradicting options are refused', () => {
    expect(() => place({ url: 'http://x', socket: '/a' }, {})).toThrow('contradict');
    expect(() => place({ url: 'mailto:x' }, {})).toThrow('is not a URL');
    expect(() => place({ url: 'http://[fe80::1%eth0]:8090' }, {})).toThrow('none can name an interface');
  });
});

describe('values', () => {
  it.each([
    ['30', 30_000],
    ['1.5s', 1500],
    ['500ms', 500],
    ['1h30m', 5_400_000],
    ['2d', 172_800_000],
  ])('the time %s is %d ms', (text, ms) => {
    expect(parseTime(text, '--timeout')).toBe(ms);
  });

  it.each(['', 'soon', '3w', '-1s', '1s x', '0', '0.0', '0s'])('%j is no time', (text) => {
    expect(() => parseTime(text, '--timeout')).toThrow('is not a time');
  });

  const NOW = Date.parse('2026-08-19T20:30:00Z');
  it.each([
    ['1h', NOW - 3_600_000],
    ['7d', NOW - 7 * 86_400_000],
    ['2026-08-19', Date.parse('2026-08-19T00:00:00Z')],
    ['2026-08-19T22:00:00+02:00', Date.parse('2026-08-19T20:00:00Z')],
    ['999999999d', 0],
  ])('the moment %s', (text, at) => {
    expect(parseMoment(text, '--since', NOW)).toBe(at);
  });

  it.each(['', 'yesterday', '3', '2026-08-19T20:30:00', '2026-13-01', '2026-02-30'])(
    '%j is no moment',
    (text) => {
      expect(() => parseMoment(text, '--since', NOW)).toThrow('is not a time');
    },
  );

  it.each([
    ['1', 1],
    ['10Gi', 10 * 1024 ** 3],
    ['10GiB', 10 * 1024 ** 3],
    ['512Mi', 512 * 1024 ** 2],
    ['10 gb', 10 * 1024 ** 3],
    ['512M', 512 * 1024 ** 2],
    ['1.5g', 1.5 * 1024 ** 3],
  ])('the size %s is %d bytes', (text, bytes) => {
    expect(parseSize(text, '--size')).toBe(bytes);
  });

  it.each(['', '0', '-1', 'big', '1.5', '1e9', '99999999T'])('%j is no size', (text) => {
    expect(() => parseSize(text, '--size')).toThrow('is not a size');
  });

  it('pairs keep everything after the first =', () => {
    expect(parsePairs('a=1,b=x=y,c=', '--metadata')).toEqual({ a: '1', b: 'x=y', c: '' });
    expect(() => parsePairs('a', '--metadata')).toThrow('has no value');
    expect(() => parsePairs('a=1,b=2,a=3', '--metadata')).toThrow('--metadata gives a twice');
  });

  it('sizes and times for people', () => {
    expect([0, 1023, 1024, 1536, 5368709120].map(sizeText)).toEqual([
      '0 B',
      '1023 B',
      '1 KiB',
      '1.5 KiB',
      '5 GiB',
    ]);
    expect([12, 1500, 200_000].map(durationText)).toEqual(['12 ms', '1.5 s', '3 min 20 s']);
    expect(timeText('2026-08-19T20:30:00.123Z')).toBe('2026-08-19 20:30:00Z');
  });
});

describe('tables', () => {
  interface Row {
    readonly name: string;
    readonly size: number | null;
  }
  const columns: readonly Column<Row>[] = [
    { name: 'name', value: ({ name }) => name },
    { name: 'size', value: ({ size }) => size, tone: () => 'bad' },
    { name: 'more', value: () => 'x', hidden: true },
  ];
  const rows = [
    { name: 'ä', size: 1 },
    { name: 'long name', size: null },
  ];
  const plain = { headers: true, color: false, width: null };

  it('are aligned, with a dash for absent values', () => {
    expect(renderTable(pick(columns, undefined), rows, plain)).toBe(
      'NAME       SIZE\nä          1\nlong name  -\n',
    );
  });

  it('colours do not change widths', () => {
    const coloured = renderTable(pick(columns, 'size,name'), rows, {
      headers: false,
      color: true,
      width: null,
    });
    expect(coloured).toBe('\u001b[31m1\u001b[39m  ä\n\u001b[31m-\u001b[39m  long name\n');
    expect(paint('bad', 'x', false)).toBe('x');
  });

  it('records are one line for each column', () => {
    expect(renderRecord(pick(columns, 'more,name'), { name: 'n', size: 1 }, plain)).toBe(
      'more  x\nname  n\n',
    );
  });

  it('control characters are made visible', () => {
    expect(visible('a\u001b]0;x\u0007\r\n\u009b\u202e')).toBe(
      'a\\u001b]0;x\\u0007\\u000d\\u000a\\u009b\\u202e',
    );
  });
});

describe('entries of the journal', () => {
  const entry = (
    state: JournalEntryReply['state'],
    data: JournalEntryReply['data'] = {},
    step = 'attach-volume',
  ) => entryText({ id: 1, operation_id: 'x', sequence: 1, step, state, data, at: '' });

  it('every state has words that name the step', () => {
    const texts = JOURNAL_STATES.map((state) => entry(state));
    expect(new Set(texts).size).toBe(JOURNAL_STATES.length);
    for (const text of texts) expect(text).toMatch(/^attach-volume: ./);
  });

  it('an entry that the daemon does not understand says why', () => {
    const strange = { id: 1, operation_id: 'x', sequence: 2, state: 'note', data: {}, at: '' } as const;
    expect(entryText({ ...strange, step: 'teleport', unreadable: 'its step is not\u001b known' })).toBe(
      'teleport: not understood: its step is not\\u001b known',
    );
  });

  it('reasons are shown without control characters', () => {
    expect(entry('waiting', { reason: 'job\u001b[2J' })).toBe('attach-volume: waiting: job\\u001b[2J');
    expect(entry('failing', { message: 'no disk' }, 'operation')).toBe('giving up: no disk');
  });
});
