import { type RawBuilder, sql } from 'kysely';

/**
 * The text as it can be compared with, and listed below, that of any other table. The server does not mix
 * collations: other programs have chosen those of their tables, and ours have that which was the server's
 * default when they were made, which an upgrade changes (utf8mb4_uca1400_ai_ci since MariaDB 11.5,
 * utf8mb4_0900_ai_ci since MySQL 8).
 */
export function plain(text: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`CONVERT(${text} USING utf8mb4) COLLATE utf8mb4_bin`;
}
