import type { ExportServer } from './export-server';

/** What the settings of the exports may be set to (docs/reference/configuration.md says what each does). */
export const BACKENDS = ['auto', 'nbdkit', 'nbd-server', 'none'] as const satisfies readonly (
  | 'auto'
  | ExportServer['kind']
)[];
export type Backend = (typeof BACKENDS)[number];

export const MANAGERS = ['auto', 'systemd', 'own'] as const;
export type Manager = (typeof MANAGERS)[number];

export const RESTART_POLICIES = ['preserve', 'when-idle', 'never'] as const;
export type RestartPolicy = (typeof RESTART_POLICIES)[number];

export const TLS_MODES = ['off', 'on', 'require'] as const;
export type TlsMode = (typeof TLS_MODES)[number];
