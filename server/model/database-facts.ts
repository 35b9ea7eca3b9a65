/** What the database server says of itself and of our schema. */
export interface DatabaseFacts {
  readonly version: string;
  /** Wall clock ms of the server. */
  readonly now: number;
  /** In the order they ran; empty when the schema was never made. */
  readonly migrations: readonly { readonly id: string; readonly appliedAt: number | null }[];
}
