import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { parse } from 'yaml';
import { messageOf } from '~/server/core/errors';
import { hasCode } from '~/server/core/has-code';
import { nearest } from '~/server/core/nearest';
import { UsageError } from './exit';

/** Where one appliance is reached. */
export interface Appliance {
  readonly url: string | null;
  readonly socket: string | null;
  readonly tokenFile: string | null;
}

interface Appliances {
  /** Used when no appliance is named; null for the daemon of this machine. */
  readonly chosen: string | null;
  readonly byName: ReadonlyMap<string, Appliance>;
}

/** `VOLUMECTL_CONFIG`, else `volumectl/config.yaml` in the folder of the user's configuration. */
export function configPath(env: NodeJS.ProcessEnv): string {
  if (env.VOLUMECTL_CONFIG) return env.VOLUMECTL_CONFIG;
  return join(env.XDG_CONFIG_HOME || join(env.HOME || homedir(), '.config'), 'volumectl/config.yaml');
}

/**
 * The appliance of this name, without a name the default one; null when no name is given and there is no
 * default. Throws UsageError when there is no such appliance, or the file is not understood.
 */
export function findAppliance(name: string | undefined, env: NodeJS.ProcessEnv): Appliance | null {
  const { chosen, byName } = readAppliances(env);
  const wanted = name || chosen;
  if (wanted === null) return null;
  const found = byName.get(wanted);
  if (found) return found;
  const near = nearest(wanted, [...byName.keys()]);
  const known = byName.size === 0 ? 'none is there' : `known are ${[...byName.keys()].join(', ')}`;
  throw new UsageError(
    `there is no appliance ${wanted}${near === null ? '' : `; did you mean ${near}?`}`,
    `Appliances are named in ${configPath(env)}; ${known}.`,
  );
}

/**
 * What the configuration file says; nothing when there is no file. Throws UsageError when it is not
 * understood.
 */
export function readAppliances(env: NodeJS.ProcessEnv): Appliances {
  const path = configPath(env);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT') || hasCode(error, 'ENOTDIR')) return { chosen: null, byName: new Map() };
    throw new UsageError(`${path} cannot be read: ${messageOf(error)}`);
  }
  try {
    return parseAppliances(text, dirname(path), env.HOME || homedir());
  } catch (error) {
    throw new UsageError(`${path} is not understood: ${messageOf(error)}`, EXAMPLE);
  }
}

const EXAMPLE =
  'It looks like this: {default: east, appliances: {east: {url: "http://10.0.0.5:8090", token-file: east.token}}}.';

function parseAppliances(text: string, folder: string, home: string): Appliances {
  const { default: chosen, appliances } = fieldsOf(parse(text) ?? {}, 'it', ['default', 'appliances']);
  const entries = Object.entries(fieldsOf(appliances ?? {}, 'appliances', null));
  const byName = new Map(entries.map(([name, value]) => [name, applianceOf(name, value, folder, home)]));
  const wanted = textOf(chosen, 'default');
  if (wanted !== null && !byName.has(wanted)) throw new Error(`default names ${wanted}, which is not there`);
  return { chosen: wanted, byName };
}

function applianceOf(name: string, value: unknown, folder: string, home: string): Appliance {
  const given = fieldsOf(value, name, ['url', 'socket', 'token-file']);
  const url = textOf(given.url, `url of ${name}`);
  const socket = textOf(given.socket, `socket of ${name}`);
  const tokenFile = textOf(given['token-file'], `token-file of ${name}`);
  if ((url === null) === (socket === null)) throw new Error(`${name} needs either a url or a socket`);
  return {
    url,
    socket,
    tokenFile: tokenFile && resolve(folder, tokenFile.replace(/^~(?=\/)/, home)),
  };
}

/** A misspelt name would silently ask another appliance, or without a token; so it is refused. */
function fieldsOf(
  value: unknown,
  what: string,
  known: readonly string[] | null,
): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Error(`${what} is not a list of names with values`);
  const unknown = Object.keys(value).find((name) => known !== null && !known.includes(name));
  if (unknown !== undefined) throw new Error(`${what} has no ${unknown}; it may have ${known?.join(', ')}`);
  return { ...value };
}

function textOf(value: unknown, what: string): string | null {
  if (value === undefined || value === null) return null;
  if (typeof value === 'string' && value !== '') return value;
  throw new Error(`${what} is not a text`);
}
