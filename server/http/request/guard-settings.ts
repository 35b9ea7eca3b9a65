import { type Access, CLOSED } from '../../daemon/access/access';

/** What the guard enforces. The plugin sets it before the first request is served. */
export interface GuardSettings {
  /** Lower-case host names (no port) accepted besides loopback names and IP addresses. */
  allowedHosts: readonly string[];
  /** Who may ask; nobody until it is set. */
  access: Access;
}

const settings: GuardSettings = { allowedHosts: [], access: CLOSED };

export function guardSettings(): Readonly<GuardSettings> {
  return settings;
}

export function setGuardSettings(next: GuardSettings): void {
  Object.assign(settings, next);
}

/** Takes the settings from the HTTP part of the configuration. */
export function fillGuardSettings(
  http: { readonly host?: string | null; readonly allowedHosts: readonly string[] },
  access: Access,
): void {
  const hosts = http.host ? [...http.allowedHosts, http.host] : http.allowedHosts;
  setGuardSettings({ allowedHosts: hosts.map((name) => name.toLowerCase()), access });
}
