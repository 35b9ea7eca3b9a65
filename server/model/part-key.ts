const PART_KEY = /^(undo-)?parts:[0-9a-f-]{36}:\d+$/i;

/**
 * The idempotency key under which a group accepts its part number `index`: it follows from the group and the
 * place, so after a restart the same request comes to the same operation.
 */
export function partKey(step: 'parts' | 'undo-parts', groupId: string, index: number): string {
  return `${step}:${groupId}:${index}`;
}

/**
 * Whether a key has the form of `partKey`: no caller's has, or a group could find somebody
 * else's operation under it.
 */
export function isPartKey(key: string): boolean {
  return PART_KEY.test(key);
}
