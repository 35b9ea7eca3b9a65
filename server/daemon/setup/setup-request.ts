import { z } from 'zod';

/** What `volumectl setup` asks of the program of the daemon, as JSON on its standard input. */
export const setupRequest = z.strictObject({
  /** DSN of who may make databases and accounts. */
  admin: z.string(),
  environment_file: z.string(),
  dry_run: z.boolean(),
  /** Null: nobody was asked yet. */
  cloudstack: z
    .strictObject({
      url: z.string(),
      api_key: z.string(),
      secret_key: z.string(),
    })
    .nullable(),
  /** Id or name; null when the key sees only one. */
  zone: z.string().nullable(),
  /** Null: the SMBIOS UUID. */
  vm_id: z.string().nullable(),
  /** Replaces the values of an active row. */
  replace: z.boolean(),
});
export type SetupRequest = z.output<typeof setupRequest>;

/** One thing that the daemon needs. */
export interface Step {
  readonly name: 'database' | 'tables' | 'cloudstack' | 'ossea_configs' | 'appliance' | 'exports';
  /** It was there, was made now, would be made, or is missing. */
  readonly state: 'ok' | 'made' | 'planned' | 'missing';
  readonly message: string;
  readonly remedy?: string;
}

/** The answer, as JSON on the standard output. Contains no secret. */
export interface SetupReport {
  readonly steps: readonly Step[];
  /** No active row is there, and `cloudstack` of the request was null: these values are to be asked for. */
  readonly needs_cloudstack: boolean;
}
