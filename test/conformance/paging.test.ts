import { expect } from 'vitest';
import type { Answer } from './conversation';
import { conformance, type Row, refused } from './table';

const LIST = { command: 'listVolumes', listall: 'true' };

const shows =
  (count: number, items: number) =>
  ({ status, body, items: of }: Answer): void =>
    expect([status, body.count, of('volume').length]).toEqual([200, count, items]);

/** `default.page.size` is 20, which is the cap and what a list without paging shows. */
const PAGES: readonly Row[] = [
  {
    what: 'pagesize 500 with default.page.size 20',
    before: (conversation) => {
      for (let number = 1; number <= 44; number += 1) conversation.addVolume(`v${number}`);
    },
    ask: { ...LIST, page: '1', pagesize: '500' },
    answer: refused(431, 4350, "Page size can't exceed max allowed page size value: 20"),
  },
  { what: 'pagesize 20', ask: { ...LIST, page: '1', pagesize: '20' }, answer: shows(45, 20) },
  { what: 'the last page', ask: { ...LIST, page: '3', pagesize: '20' }, answer: shows(45, 5) },
  { what: 'no paging', ask: LIST, answer: shows(45, 20) },
  {
    what: '429',
    before: ({ model }) =>
      model.faults.add({ command: 'listCapabilities', kind: 'status', code: 429, ms: 460 }),
    ask: { command: 'listCapabilities' },
    answer: refused(
      429,
      9999,
      'The given user has reached his/her account api limit, please retry after [460] ms.',
    ),
  },
];

conformance('small pages, throttling', PAGES, { pageSize: 20 });
