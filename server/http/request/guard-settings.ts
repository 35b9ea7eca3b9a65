import { readFileSync } from 'node:fs';

/** What the guard enforces. The plugin sets it before the first request is served. */
export interface GuardSettings {
  /** Lower-case host names (no port) accepted besides loopback names and IP addresses. */
  allowedHosts: readonly string[];
  /** The bearer token, null when there is none. */
  token: string | null;
  /** True refuses every request without the token; with `token: null` every request (it fails closed). */
  requireToken: boolean;
}

const settings: GuardSettings = { allowedHosts: [], token: null, requireToken: false };

export function guardSettings(): Readonly<GuardSettings> {
  return settings;
}

export function setGuardSettings(next: GuardSettings): void {
  Object.assign(settings, next);
}

/**
 * Takes the settings from the HTTP part of the configuration. Throws when the token file cannot be read or is
 * empty: the server must not serve without the token it was told to require.
 */
export function fillGuardSettings(http: {
  readonly host?: string | null;
  readonly allowedHosts: readonly string[];
  readonly tokenFile: string | null;
}): void {
  const hosts = http.host ? [...http.allowedHosts, http.host] : http.allowedHosts;
  const allowedHosts = hosts.map((name) => name.toLowerCase());
  setGuardSettings({ allowedHosts, token: null, requireToken: http.tokenFile !== null });
  if (http.tokenFile === null) return;
  const token = readFileSync(http.tokenFile, 'utf8').trim();
  if (token === '') throw new Error(`The token file ${http.tokenFile} is empty`);
  settings.token = token;
}
