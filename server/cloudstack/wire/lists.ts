import type { Clock } from '../../core/clock';
import { LIMITS } from '../../core/limits';
import { absent, type Evidence, seen, unknown } from '../../model/evidence';
import { CloudError, IncompleteList } from '../cloud';
import { badAnswer, largestPage, saysNoSuchEntity } from '../errors';
import { countOf, items, type ListItem } from './parse';
import type { SignedCalls } from './signed-calls';
import type { Parameters } from './signing';

const NOT_SHOWN =
  'CloudStack does not show it to this key: it was removed, or belongs to a project or another account';

/**
 * `listall` alone leaves out everything of projects; with `projectid=-1` a list has everything of the account
 * and its projects, and for a root administrator everything there is.
 */
const OF_OWNERS: Parameters = { projectid: '-1' };

interface Identified {
  readonly id: string;
}

interface Listed<T> {
  readonly items: readonly T[];
  /** How many CloudStack says that there are; 0 where it does not say. */
  readonly counted: number;
}

/** CloudStack's list commands: by id and in pages, including everything that the key may see. */
export class Lists {
  /** `default.page.size` of the server may be smaller than what we ask for first. */
  private pageSize: number = LIMITS.CLOUDSTACK_PAGE_SIZE;
  /**
   * The key has shown an object of another account that `projectid=-1` leaves out, so it is a domain
   * administrator's.
   */
  private seesAccounts = false;

  constructor(
    private readonly calls: SignedCalls,
    private readonly clock: Clock,
  ) {}

  /**
   * One object by its id, whoever owns it. Absent when CloudStack says that there is none; unknown when it
   * merely does not show it.
   */
  async lookUp<T extends Identified>(item: ListItem<T>, id: string, more: Parameters): Promise<Evidence<T>> {
    const { clock } = this;
    try {
      const found =
        (await this.find(item, id, { ...more, ...OF_OWNERS })) ?? (await this.findOfAccounts(item, id, more));
      return found ? seen(found, clock.now(), 'cloudstack') : unknown(NOT_SHOWN, clock.now(), 'cloudstack');
    } catch (error) {
      if (error instanceof CloudError && saysNoSuchEntity(error, 'id', id))
        return absent('CloudStack says that this id names nothing', clock.now(), 'cloudstack');
      throw error;
    }
  }

  /** An object without an owner, by its id; empty when there is none. */
  async byId<T extends Identified>(item: ListItem<T>, id: string): Promise<T[]> {
    try {
      const shown = items(item, await this.calls.call(item.command, { id, listall: 'true' }));
      return shown.filter((one) => one.id === id.toLowerCase());
    } catch (error) {
      if (error instanceof CloudError && saysNoSuchEntity(error, 'id', id)) return [];
      throw error;
    }
  }

  /**
   * All pages of objects that belong to accounts and projects. `isWhole`: throws IncompleteList where
   * CloudStack counts more than it shows.
   */
  async ofOwners<T extends Identified>(
    item: ListItem<T>,
    parameters: Parameters,
    isWhole = false,
  ): Promise<T[]> {
    const found = await this.all(item, { ...parameters, ...OF_OWNERS }, isWhole);
    if (!this.seesAccounts) return found;
    const ofAccounts = await this.all(item, parameters, isWhole);
    return [...new Map([...found, ...ofAccounts].map((one) => [one.id, one])).values()];
  }

  /** All pages. */
  async all<T extends Identified>(item: ListItem<T>, parameters: Parameters, isWhole = false): Promise<T[]> {
    const { items: found, counted } = await this.fittingPages(item, parameters);
    if (isWhole && found.length < counted) throw new IncompleteList(item.command, counted, found.length);
    return [...found];
  }

  private async fittingPages<T extends Identified>(
    item: ListItem<T>,
    parameters: Parameters,
  ): Promise<Listed<T>> {
    try {
      return await this.pages(item, parameters, this.pageSize);
    } catch (error) {
      const most = error instanceof CloudError ? largestPage(error) : null;
      if (most === null || most >= LIMITS.CLOUDSTACK_PAGE_SIZE) throw error;
      this.pageSize = most;
      return this.pages(item, parameters, most);
    }
  }

  private async find<T extends Identified>(
    item: ListItem<T>,
    id: string,
    more: Parameters,
  ): Promise<T | undefined> {
    const shown = items(item, await this.calls.call(item.command, { ...more, id, listall: 'true' }));
    return shown.find((candidate) => candidate.id === id.toLowerCase());
  }

  private async findOfAccounts<T extends Identified>(
    item: ListItem<T>,
    id: string,
    more: Parameters,
  ): Promise<T | undefined> {
    const found = await this.find(item, id, more);
    if (found) this.seesAccounts = true;
    return found;
  }

  /**
   * Objects made or deleted between two pages shift the others by one. Duplicates are removed; where there
   * are fewer than before, one may have moved to a page that was read already, so all are read again, a few
   * times. A page may also lack rows that are counted and not shown: it ends the list only where the count
   * says so, or when it is empty.
   */
  private async pages<T extends Identified>(
    item: ListItem<T>,
    parameters: Parameters,
    pageSize: number,
    { reads, cut }: { readonly reads: number; readonly cut: readonly T[] } = { reads: 1, cut: [] },
  ): Promise<Listed<T>> {
    const all = new Map(cut.map((one) => [one.id, one]));
    let most = 0;
    for (let page = 1; page <= LIMITS.CLOUDSTACK_PAGES; page += 1) {
      const shown = { ...parameters, listall: 'true', page: String(page), pagesize: String(pageSize) };
      const body = await this.calls.call(item.command, shown);
      const found = items(item, body);
      const count = countOf(body);
      if (count !== null && count < most && reads < LIMITS.CLOUDSTACK_LIST_READS)
        return this.pages(item, parameters, pageSize, { reads: reads + 1, cut });
      most = count ?? most;
      for (const one of found) all.set(one.id, one);
      const isShort = found.length < pageSize;
      // A server may give smaller pages than asked for, without a word but the count. One that gives fewer of
      // these again cuts nothing, and may show none of what it has just shown.
      const mayBeCut = page === 1 && cut.length === 0 && found.length > 0 && found.length < (count ?? 0);
      if (isShort && mayBeCut) return this.pages(item, parameters, found.length, { reads, cut: found });
      if (found.length === 0 || (isShort && page * pageSize >= (count ?? 0)))
        return { items: [...all.values()], counted: most };
    }
    throw badAnswer(item.command, 200, `there are more than ${LIMITS.CLOUDSTACK_PAGES} pages`);
  }
}
