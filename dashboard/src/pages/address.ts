/** The id in the address of a page: `/volumes/{id}`, `/operations/{id}`. */
export function idOfAddress(): string {
  const last = location.pathname.replace(/\/$/, '').split('/').at(-1) ?? '';
  try {
    return decodeURIComponent(last).toLowerCase();
  } catch {
    return last;
  }
}
