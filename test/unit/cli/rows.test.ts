import { describe, expect, it } from 'vitest';
import { sizeColumn, timeColumn } from '~/cli/commands/columns';
import { checkChoice, choose } from '~/cli/output/rows';
import { type Column, renderRecord, renderTable } from '~/cli/output/table';

interface Row {
  readonly id: string;
  readonly size: number | null;
  readonly at: string;
  readonly reason: string | null;
  readonly attempt: number;
}

const COLUMNS: readonly Column<Row>[] = [
  { name: 'id', value: ({ id }) => id },
  sizeColumn('size', ({ size }) => size),
  timeColumn('created_at', ({ at }) => at),
  { name: 'attempt', value: ({ attempt }) => attempt },
  { name: 'reason', value: ({ reason }) => reason },
];
const ROWS: readonly Row[] = [
  { id: 'vdb', size: 2 * 1024 ** 3, at: '2026-01-01T00:00:00Z', reason: 'Quota', attempt: 9 },
  { id: 'vda', size: 10 * 1024 ** 3, at: '2026-01-02T00:00:00Z', reason: null, attempt: 10 },
  { id: 'vdc', size: null, at: '2026-01-03T00:00:00Z', reason: 'no, quota', attempt: 2 },
];
const ids = (choice: { sort?: string; reverse?: boolean; filter?: string }) =>
  choose(COLUMNS, ROWS, { sort: undefined, filter: undefined, reverse: false, ...choice })
    .map(({ id }) => id)
    .join(' ');

describe('--sort', () => {
  it.each([
    [{ sort: 'id' }, 'vda vdb vdc'],
    [{ sort: 'id', reverse: true }, 'vdc vdb vda'],
    [{ sort: 'size' }, 'vdb vda vdc'],
    [{ sort: 'size', reverse: true }, 'vda vdb vdc'],
    [{ sort: 'attempt' }, 'vdc vdb vda'],
    [{ sort: 'created-at' }, 'vdb vda vdc'],
    [{ sort: 'reason,id' }, 'vdc vdb vda'],
    [{ reverse: true }, 'vdc vda vdb'],
    [{}, 'vdb vda vdc'],
  ])('%j: %s (amounts as amounts, absent values last)', (choice, order) => {
    expect(ids(choice)).toBe(order);
  });
});

it.each([
  ['name=web-1', 'web-1'],
  ['name!=web-1', 'web-01 web-001'],
  ['name=web-01', 'web-01'],
])('--filter %s: a name with other zeros is another name', (filter, names) => {
  const rows = ['web-1', 'web-01', 'web-001'].map((name) => ({ name }));
  const columns: readonly Column<{ readonly name: string }>[] = [{ name: 'name', value: ({ name }) => name }];
  const found = choose(columns, rows, { sort: undefined, filter, reverse: false });
  expect(found.map(({ name }) => name).join(' ')).toBe(names);
});

describe('--filter', () => {
  it('a word compared with a column of numbers is a mistake, not an empty list', () => {
    for (const filter of ['attempt>abc', 'attempt=1x'])
      expect(() => ids({ filter }), filter).toThrow(/--filter attempt: "(abc|1x)" is not a number/);
  });

  it.each([
    ['id=VDB', 'vdb'],
    ['size~gi', 'vdb vda'],
    ['created-at~01-02', 'vda'],
    ['id!=vdb', 'vda vdc'],
    ['size>2Gi', 'vda'],
    ['size>=2Gi', 'vdb vda'],
    ['size<10Gi', 'vdb'],
    ['size=10GiB', 'vda'],
    ['size=-', 'vdc'],
    ['size!=-', 'vdb vda'],
    ['reason~quota', 'vdb vdc'],
    ['reason!~quota', 'vda'],
    ['reason=', 'vda'],
    ['attempt>9', 'vda'],
    ['attempt<=9', 'vdb vdc'],
    ['created_at>=2026-01-02', 'vda vdc'],
    ['reason~quota, size=2Gi', 'vdb'],
    ['id>vda', 'vdb vdc'],
  ])('%s leaves %s', (filter, left) => {
    expect(ids({ filter })).toBe(left);
  });

  it.each([
    ['colour=red', 'there is no column "colour"'],
    ['sise>1', 'did you mean size?'],
    ['size', 'is not a condition'],
    ['size=>1', 'is not a condition'],
    ['size>big', 'is not a size'],
    ['created_at>soon', 'is not a time'],
    ['size>', 'no value to compare with'],
  ])('%s is refused before anything is asked: %s', (filter, says) => {
    expect(() => checkChoice(COLUMNS, { filter, sort: undefined, reverse: false })).toThrow(says);
  });
});

describe('on a terminal', () => {
  const style = { headers: true, color: false };
  const columns: readonly Column<{ a: string; b: string }>[] = [
    { name: 'a', value: ({ a }) => a },
    { name: 'b', value: ({ b }) => b },
  ];
  const long = { a: 'x'.repeat(10), b: 'so many words that they do not fit into what is left of the line' };

  it('the last column of a table is wrapped under itself', () => {
    expect(renderTable(columns, [long], { ...style, width: 50 })).toBe(
      [
        'A           B',
        'xxxxxxxxxx  so many words that they do not fit',
        '            into what is left of the line',
        '',
      ].join('\n'),
    );
  });

  it('a table that leaves it too little room becomes records', () => {
    const narrow = renderTable(columns, [{ ...long, a: 'y'.repeat(30) }, long], { ...style, width: 40 });
    expect(narrow).toMatch(/^a {2}y{30}\nb {2}so many words that they do not fit\n {3}into/);
    expect(narrow.split('\n\n')).toHaveLength(2);
    for (const line of narrow.split('\n')) expect(line.length).toBeLessThanOrEqual(40);
  });

  it('a word that is longer than the line is broken, and everywhere else lines may have any length', () => {
    const wide = { a: 'z'.repeat(100), b: '' };
    expect(renderRecord(columns, wide, { ...style, width: 60 }).split('\n')).toHaveLength(4);
    expect(renderRecord(columns, wide, { ...style, width: null }).split('\n')).toHaveLength(3);
  });
});
