import { isUuid } from '~/server/core/is-uuid';
import type { Args } from './arguments';
import type { Context } from './context';
import { sizeText } from './output/units';

/**
 * Every argument that names a volume may be an id, the first 8 or more characters of one, or a name. The
 * daemon asks CloudStack which volume that is now, and refuses what may mean two; the command is then given
 * the whole id, so that nothing but that volume is touched. Throws ApiError.
 */
export async function resolveVolumes<Given extends Readonly<Record<string, unknown>>>(
  { client, out }: Context,
  args: Args,
  values: Given,
): Promise<Given> {
  const whole: Record<string, string> = {};
  for (const [name, { complete }] of Object.entries(args)) {
    const given = values[name];
    if (complete !== 'volume' || typeof given !== 'string' || isUuid(given.toLowerCase())) continue;
    const found = await client.call('resolveVolume', { query: { ref: given } });
    whole[name] = found.volume_id;
    const where = found.vm_id === null ? 'detached' : `on VM ${found.vm_name ?? found.vm_id}`;
    const facts = `${found.name}, ${sizeText(found.size)}, ${found.state}, ${where}`;
    if (!out.isData) out.hint(`${given} is volume ${found.volume_id} (${facts})`);
  }
  return { ...values, ...whole };
}
