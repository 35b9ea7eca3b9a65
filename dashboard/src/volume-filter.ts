/**
 * Which volumes are listed, and where the page begins: all of it is in the address, and the server answers
 * it.
 */
const NAMES = ['name', 'state', 'attached', 'vm_id', 'project'] as const;

type Name = (typeof NAMES)[number];
export type VolumeFilter = Readonly<Record<Name | 'cursor', string>>;

export const VOLUMES_PAGE_ROWS = 50;

export function volumeFilterOf(search: string): VolumeFilter {
  const query = new URLSearchParams(search);
  const word = (name: string): string => query.get(name)?.trim() ?? '';
  return {
    name: word('name'),
    state: word('state'),
    attached: word('attached'),
    vm_id: word('vm_id'),
    project: word('project'),
    cursor: word('cursor'),
  };
}

/** What is asked for; what is not filtered by is left out. */
export function volumeQueryOf(filter: VolumeFilter): URLSearchParams {
  return new URLSearchParams(
    [...NAMES, 'cursor' as const].flatMap((name) => (filter[name] === '' ? [] : [[name, filter[name]]])),
  );
}

export function volumesAddress(filter: VolumeFilter): string {
  const query = volumeQueryOf(filter).toString();
  return query === '' ? '/volumes' : `/volumes?${query}`;
}

export function isFiltered(filter: VolumeFilter): boolean {
  return NAMES.some((name) => filter[name] !== '');
}
