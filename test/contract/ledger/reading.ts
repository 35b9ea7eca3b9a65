import { randomUUID } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Ledger } from '~/server/model/ledger';
import type { Operation } from '~/server/model/operation';
import { A, APPLIANCE, attach, B, create, detach, ended, OTHER_VM, T0 } from './fixtures';
import type { LedgerSuite } from './ledger-suite';

export function describeReading(suite: LedgerSuite): void {
  const { append, ask, executing } = suite;

  describe('reading', () => {
    let ledger: Ledger;
    beforeEach(() => {
      ({ ledger } = suite);
    });

    it('lists newest first, page by page', async () => {
      for (let n = 0; n < 5; n += 1) await ask(create(`volume ${n}`, { at: T0 + n }));
      const names = (page: Operation[]) =>
        page.map((operation) => (operation.type === 'create' ? operation.request.name : ''));
      const first = await ledger.listOperations({ limit: 2 });
      expect(names(first)).toEqual(['volume 4', 'volume 3']);
      const second = await ledger.listOperations({ limit: 2, before: first.at(-1)?.sequence });
      expect(names(second)).toEqual(['volume 2', 'volume 1']);
      expect(names(await ledger.listOperations({ limit: 2, before: second.at(-1)?.sequence }))).toEqual([
        'volume 0',
      ]);
    });

    it('filters by type, status, volume, VM and time, and by several at once', async () => {
      const one = await executing(attach(A, APPLIANCE, { at: T0 }));
      const two = await ask(detach(B, { at: T0 + 10 }));
      const three = await ask(attach(B, OTHER_VM, { at: T0 + 20 }));
      const ids = async (filter: Omit<Parameters<Ledger['listOperations']>[0], 'limit'>) =>
        (await ledger.listOperations({ ...filter, limit: 10 })).map(({ id }) => id);
      expect(await ids({ type: 'attach' })).toEqual([three.id, one.id]);
      expect(await ids({ status: 'executing' })).toEqual([one.id]);
      expect(await ids({ volumeId: B })).toEqual([three.id, two.id]);
      expect(await ids({ vmId: OTHER_VM })).toEqual([three.id]);
      expect(await ids({ since: T0 + 10 })).toEqual([three.id, two.id]);
      expect(await ids({ type: 'attach', status: 'pending', volumeId: B, since: T0 })).toEqual([three.id]);
      expect(await ids({ type: 'delete' })).toEqual([]);
    });

    it('names what executes on each of some volumes, of whichever appliance', async () => {
      const mine = await executing(attach(A, APPLIANCE));
      await ask(detach(A));
      const theirs = await ledger.takeOver(OTHER_VM, 'their daemon');
      const { operation } = await ledger.accept(theirs, detach(B));
      expect(await ledger.executingOn([A, B])).toEqual(
        new Map([[A, { id: mine.id, applianceId: APPLIANCE }]]),
      );
      await ledger.claim(theirs, 1);
      expect((await ledger.executingOn([A, B])).get(B)).toEqual({ id: operation.id, applianceId: OTHER_VM });
      expect(await ledger.executingOn([OTHER_VM])).toEqual(new Map());
      expect(await ledger.executingOn([])).toEqual(new Map());
    });

    it('finds a whole id wherever it names the operation, its volume or its VM', async () => {
      const one = await ask(attach(A, APPLIANCE));
      const two = await ask(attach(B, OTHER_VM));
      const ids = async (find: string, more: Partial<Parameters<Ledger['listOperations']>[0]> = {}) =>
        (await ledger.listOperations({ find, limit: 10, ...more })).map(({ id }) => id);
      expect(await ids(one.id)).toEqual([one.id]);
      expect(await ids(B)).toEqual([two.id]);
      expect(await ids(OTHER_VM.toUpperCase())).toEqual([two.id]);
      expect(await ids(OTHER_VM, { type: 'detach' })).toEqual([]);
      expect(await ids('00000000-0000-4000-8000-00000000aaaa')).toEqual([]);
    });

    it('finds a text in ids and names, in any case, and what was done with a volume of such a name', async () => {
      const made = await executing(create('Web 100%_disk'));
      await append(made.id, { volumeId: A });
      await append(made.id, { end: ended() });
      const attached = await ask(attach(A, APPLIANCE));
      const other = await ask(create('web 100 xdisk'));
      const ids = async (find: string, before?: number) =>
        (await ledger.listOperations({ find, limit: 10, before })).map(({ id }) => id);
      expect(await ids('WEB')).toEqual([other.id, attached.id, made.id]);
      expect(await ids('web', attached.sequence)).toEqual([made.id]);
      expect(await ids('100%_')).toEqual([attached.id, made.id]);
      expect(await ids(attached.id.slice(0, 13))).toEqual([attached.id]);
      expect(await ids('\\')).toEqual([]);
    });

    it('finds a text in any script, beside ids that have none of it', async () => {
      const made = await ask(create('Größe 漢字 🗄'));
      await ask(attach(A, APPLIANCE));
      const ids = async (find: string) =>
        (await ledger.listOperations({ find, limit: 10 })).map(({ id }) => id);
      for (const find of ['GRÖß', '漢字', '🗄']) expect(await ids(find), find).toEqual([made.id]);
      expect(await ids('ÁĐ')).toEqual([]);
    });

    it('feeds the entries of all operations of the appliance in order', async () => {
      const one = await executing(attach(A, APPLIANCE));
      const two = await ask(detach(B));
      const theirs = await ledger.takeOver(OTHER_VM, 'them');
      await ledger.accept(theirs, create('theirs'));
      const feed = await ledger.feed(APPLIANCE, 0, 100);
      expect(feed.map(({ operationId, state }) => [operationId, state])).toEqual([
        [one.id, 'pending'],
        [one.id, 'executing'],
        [two.id, 'pending'],
      ]);
      expect(await ledger.feed(APPLIANCE, feed[0]?.id ?? 0, 1)).toEqual([feed[1]]);
      expect(await ledger.feed(APPLIANCE, feed.at(-1)?.id ?? 0, 10)).toEqual([]);
    });

    it('knows which volumes are being worked on', async () => {
      await executing(attach(A, APPLIANCE));
      await ask(detach(B));
      await ask(create('one'));
      expect(await ledger.busyVolumes(APPLIANCE)).toEqual(new Set([A, B]));
      expect(await ledger.busyVolumes(OTHER_VM)).toEqual(new Set());
    });

    it('knows who has worked on a volume since an entry, whatever the clocks say', async () => {
      expect(await ledger.newestEntry()).toBe(0);
      const one = await executing(attach(A, APPLIANCE));
      const since = await ledger.newestEntry();
      expect(since).toBe((await ledger.readJournal(one.id)).at(-1)?.id);
      expect(await ledger.isWorkedOn(A, since)).toBe(true);
      expect(await ledger.isWorkedOn(B, 0)).toBe(false);
      await append(one.id, { entries: [], end: ended() });
      expect(await ledger.isWorkedOn(A, since)).toBe(true);
      expect(await ledger.isWorkedOn(A, await ledger.newestEntry())).toBe(false);
      await ask(detach(B));
      expect(await ledger.isWorkedOn(B, await ledger.newestEntry())).toBe(true);
    });

    it('answers with null where there is nothing', async () => {
      expect(await ledger.readOperation(randomUUID())).toBeNull();
      expect(await ledger.readMapping(A)).toBeNull();
      expect(await ledger.readMappingByDevice(APPLIANCE, '/dev/vdb')).toBeNull();
      expect(await ledger.readExport(A)).toBeNull();
      expect(await ledger.readJournal(randomUUID())).toEqual([]);
      await ledger.ping();
    });
  });
}
