import { isUuid } from '~/server/core/is-uuid';
import type { Args } from './arguments';
import type { Context } from './context';
import { UsageError } from './exit';
import { sizeText } from './output/units';

/**
 * Every argument that names a volume may be an id, the first 8 or more characters of one, or a name. The
 * daemon asks CloudStack which volume that is now, and refuses what may mean two; the command is then given
 * the whole id, so that nothing but that volume is touched. Throws ApiError.
 */
export async function resolveVolumes<Given extends Readonly<Record<string, unknown>>>(
  context: Context,
  args: Args,
  values: Given,
): Promise<Given> {
  const whole: Record<string, string> = {};
  for (const [name, arg] of Object.entries(args)) {
    const given = values[name];
    if (arg.complete !== 'volume' || typeof given !== 'string') continue;
    if (arg.type === 'string' && arg.several) {
      const ids: string[] = [];
      for (const one of given.split(',')) ids.push(await resolveVolume(context, one.trim(), `--${name}`));
      whole[name] = ids.join(',');
    } else whole[name] = await resolveVolume(context, given, name);
  }
  return { ...values, ...whole };
}

async function resolveVolume({ client, out }: Context, given: string, argument: string): Promise<string> {
  if (given === '') throw new UsageError(`${argument} names a volume without a name`);
  if (isUuid(given.toLowerCase())) return given;
  const found = await client.call('resolveVolume', { query: { ref: given } });
  const where = found.vm_id === null ? 'detached' : `on VM ${found.vm_name ?? found.vm_id}`;
  const facts = `${found.name}, ${sizeText(found.size)}, ${found.state}, ${where}`;
  if (!out.isData) out.hint(`${given} is volume ${found.volume_id} (${facts})`);
  return found.volume_id;
}
