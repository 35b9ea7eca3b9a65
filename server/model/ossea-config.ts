/** A row of the hub's table `ossea_configs`: where CloudStack is and with which key. */
export interface OsseaConfigRow {
  readonly id: string;
  readonly name: string;
  readonly apiUrl: string;
  readonly apiKey: string;
  readonly secretKey: string;
  readonly domain: string | null;
  readonly zone: string | null;
  readonly diskOfferingId: string | null;
  readonly omaVmId: string | null;
  /** For whom volumes are created: a project, or an account of a domain. Columns of ours. */
  readonly projectId: string | null;
  readonly account: string | null;
  readonly domainId: string | null;
  readonly isActive: boolean;
  /** ms; null when the table has no such column. */
  readonly updatedAt: number | null;
}
