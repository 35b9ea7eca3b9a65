import type { Clock } from '../core/clock';
import type { Logger } from '../core/log/logger';
import type { OsseaConfigRow } from '../model/ossea-config';
import { CloudError, type CloudOwner } from './cloud';
import { readCredential } from './credentials';
import { apiEndpoint } from './wire/endpoint';

export interface ActiveSettings {
  readonly name: string;
  readonly endpoint: string;
  readonly apiKey: string;
  readonly secretKey: string;
  readonly zone: string | null;
  /** Of the hub, which names it in its creates. */
  readonly diskOfferingId: string | null;
  readonly omaVmId: string | null;
  /** The owner of new volumes; null when none is configured. */
  readonly owner: CloudOwner | null;
  readonly ownerSource: 'environment' | 'ossea_configs' | null;
  /** How many rows are active; of several the newest is used, while the hub may use another one. */
  readonly activeRows: number;
}

interface SettingsParts {
  readonly readRows: () => Promise<readonly OsseaConfigRow[]>;
  readonly encryptionKey: Buffer | null;
  /** CLOUDSTACK_PROJECT, or CLOUDSTACK_ACCOUNT and CLOUDSTACK_DOMAIN; wins over the row. */
  readonly owner?: CloudOwner | null;
  /** Receives every secret, so that logs can mask it. */
  readonly register: (secret: string) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** How long a read row is used: an edited row takes effect within this time, without a restart. */
const FRESH_MS = 5_000;

/** The active CloudStack configuration, read from the database when it is needed. */
export class CloudSettings {
  private last: { readonly at: number; readonly settings: ActiveSettings | null } | null = null;
  private reading: Promise<ActiveSettings | null> | null = null;
  private warned = '';

  constructor(private readonly parts: SettingsParts) {}

  /**
   * null when there is no active row. Throws DATABASE_UNAVAILABLE, or CloudError `configuration` when the row
   * is unusable.
   */
  async active(): Promise<ActiveSettings | null> {
    if (this.last && this.parts.clock.monotonic() - this.last.at < FRESH_MS) return this.last.settings;
    return this.reload();
  }

  /** Reads the row now; concurrent callers share one read. */
  reload(): Promise<ActiveSettings | null> {
    this.reading ??= this.read().finally(() => {
      this.reading = null;
    });
    return this.reading;
  }

  /** The settings; throws an error that says what to do when there are none. */
  async require(): Promise<ActiveSettings> {
    const settings = await this.active();
    if (settings) return settings;
    throw new CloudError('CloudStack is not configured: insert an active row into ossea_configs', {
      kind: 'configuration',
      outcome: 'not-started',
    });
  }

  private async read(): Promise<ActiveSettings | null> {
    const rows = (await this.parts.readRows()).filter((row) => row.isActive);
    const [row] = rows;
    if (rows.length > 1)
      this.warnOnce(
        `${rows.length} rows of ossea_configs are active; the newest is used: ${row?.name ?? ''}`,
      );
    const settings = row ? this.toSettings(row, rows.length) : null;
    this.last = { at: this.parts.clock.monotonic(), settings };
    return settings;
  }

  private toSettings(row: OsseaConfigRow, activeRows: number): ActiveSettings {
    const apiKey = readCredential(row.apiKey, this.parts.encryptionKey);
    const secretKey = readCredential(row.secretKey, this.parts.encryptionKey);
    for (const secret of [apiKey, secretKey, row.apiKey, row.secretKey]) this.parts.register(secret);
    const ofEnvironment = this.parts.owner ?? null;
    try {
      const owner = ofEnvironment ?? ownerOf(row);
      return {
        name: row.name,
        endpoint: apiEndpoint(row.apiUrl),
        apiKey,
        secretKey,
        zone: row.zone,
        diskOfferingId: row.diskOfferingId,
        omaVmId: row.omaVmId,
        owner,
        ownerSource: ofEnvironment !== null ? 'environment' : owner !== null ? 'ossea_configs' : null,
        activeRows,
      };
    } catch (error) {
      throw new CloudError(
        `CloudStack is not configured: ${error instanceof Error ? error.message : ''} (ossea_configs row ${row.name})`,
        { kind: 'configuration', outcome: 'not-started', cause: error },
      );
    }
  }

  private warnOnce(reason: string): void {
    if (this.warned === reason) return;
    this.warned = reason;
    this.parts.logger.warn('CloudStack configuration is not unique', { reason });
  }
}

/** Throws Error for what CloudStack would refuse on every create. */
function ownerOf({ projectId, account, domainId }: OsseaConfigRow): CloudOwner | null {
  if (projectId === null && account === null) return null;
  if (projectId !== null && account !== null) throw new Error('project_id and account exclude each other');
  if (account !== null && domainId === null) throw new Error('account needs domain_id');
  return { projectId, account, domainId: account === null ? null : domainId };
}
