/**
 * What an administrator can do about an answer of the server, by its number (MySQL 8 and MariaDB 10.6+). Only
 * advice: an answer that is not here is waited for just the same.
 */
const ACCOUNT =
  'check user, password and host of the account in DATABASE_DSN; if it demands TLS, add tls=true';
const UNLOCK = 'unlock the account: ALTER USER … ACCOUNT UNLOCK';
const PASSWORD = 'give the account a password that is not expired: ALTER USER … PASSWORD EXPIRE NEVER';
const GRANT = 'give the account its rights back: GRANT ALL ON <database>.* TO <user>';
const CONNECTIONS = 'raise the limit of connections of the server or of the account, or find who uses them';
const QUOTA = 'raise the limits of the account: ALTER USER … WITH MAX_QUERIES_PER_HOUR 0 (and the like)';
const SPACE = 'make room on the disk of the database server';
const READ_ONLY = 'lead DATABASE_DSN to the server that takes writes, or end its read-only mode';
const NODE = 'this node of the cluster takes no work: bring it back into the primary component';
const TABLE =
  'bring it back from a backup, or its name back; the runbook "A table is missing" says what to do where it is lost. One that is not of the daemon is named by a trigger or a view of another program (SHOW TRIGGERS)';
const COLUMN =
  'somebody has dropped or renamed it: bring it back, or let the migrations add it (runbook "A table is missing"). One that is not of the daemon is named by a trigger or a view of another program (SHOW TRIGGERS)';
const NO_DEFAULT =
  'another program has added this column: give it a default value, or let it be NULL (ALTER TABLE … ALTER COLUMN … SET DEFAULT …)';
const TRIGGER =
  'a trigger of another program met a row that its table has already: mend or drop it (SHOW TRIGGERS)';
const ROW =
  'a trigger of another program, or a column that it has changed, does not take this row (SHOW TRIGGERS, SHOW CREATE TABLE): mend or drop it';
const LOCKED = 'another session holds a lock: SHOW FULL PROCESSLIST and SHOW ENGINE INNODB STATUS tell which';
const REFERENCED =
  'a foreign key of another program refers to this row: delete its rows, or let the key say ON DELETE CASCADE';
const CHECK = 'another program has added this CHECK: let it be what the daemon writes, or drop it';
const WRITE_SET = 'raise wsrep_max_ws_size and wsrep_max_ws_rows';
const PLUGIN =
  'use an account that signs in with mysql_native_password, caching_sha2_password or client_ed25519';

const BY_NUMBER: ReadonlyMap<number, string> = new Map([
  [1045, ACCOUNT],
  [1698, `${ACCOUNT}: it may sign in by its unix user only`],
  [1130, ACCOUNT],
  [1524, PLUGIN],
  [1251, PLUGIN],
  [3118, UNLOCK],
  [4151, UNLOCK],
  [3955, UNLOCK],
  [1820, PASSWORD],
  [1862, PASSWORD],
  [1044, `${GRANT}; or correct the name of the database in DATABASE_DSN`],
  [1142, GRANT],
  [1143, GRANT],
  [1227, GRANT],
  [1370, GRANT],
  [1049, 'create the database, or correct its name in DATABASE_DSN'],
  [1040, CONNECTIONS],
  [1203, CONNECTIONS],
  [1226, QUOTA],
  [1129, 'the server has blocked this host after failed connections: FLUSH HOSTS'],
  [3159, 'it takes TLS only: add tls=true to DATABASE_DSN, or name its CA in DATABASE_CA_FILE'],
  [1021, SPACE],
  [1026, SPACE],
  [1114, SPACE],
  [3675, SPACE],
  [1036, READ_ONLY],
  [1792, READ_ONLY],
  [1836, READ_ONLY],
  [3989, READ_ONLY],
  [1047, NODE],
  [1665, 'set binlog_format of the server to ROW or MIXED'],
  [1146, TABLE],
  [1054, COLUMN],
  [1356, COLUMN],
  [1062, TRIGGER],
  [1586, TRIGGER],
  [1364, NO_DEFAULT],
  [1048, ROW],
  [1136, ROW],
  [1264, ROW],
  [1265, ROW],
  [1292, ROW],
  [1366, ROW],
  [1406, ROW],
  [1452, ROW],
  [1644, ROW],
  [1205, LOCKED],
  [1217, REFERENCED],
  [1451, REFERENCED],
  [3819, CHECK],
  [4025, CHECK],
  [1153, 'raise max_allowed_packet of the server'],
]);

/** For numbers that stand for many things: 1290 names any option of the server. */
const BY_TEXT: readonly (readonly [RegExp, string])[] = [
  [/read[-_]only/i, READ_ONLY],
  [/max[-_]session[-_]mem[-_]used/i, 'raise max_session_mem_used of the server'],
  [/write ?set/i, WRITE_SET],
  [/(error|errno:?) 28\b|no space left/i, SPACE],
  [/max_user_connections/i, CONNECTIONS],
  [/insecure transport|secure_transport/i, BY_NUMBER.get(3159) ?? ''],
];

/** Where no server has answered. */
const BY_CODE: ReadonlyMap<string, string> = new Map([
  [
    'PROTOCOL_SEQUENCE_TIMEOUT',
    `the server has not answered in time: it is overloaded, its disk is full, or ${LOCKED}`,
  ],
  ['ECONNREFUSED', 'no server listens there: start it, or correct host and port in DATABASE_DSN'],
  ['ENOENT', 'there is no such unix socket: start the server, or correct the path in DATABASE_DSN'],
  ['ENOTFOUND', 'there is no host of that name: correct it in DATABASE_DSN, or mend the name service'],
  ['EAI_AGAIN', 'the name service does not answer: mend it, or write an address in DATABASE_DSN'],
  ['EHOSTUNREACH', 'no way leads there: correct the host in DATABASE_DSN, or mend the network'],
  ['ENETUNREACH', 'no way leads there: correct the host in DATABASE_DSN, or mend the network'],
  ['ETIMEDOUT', 'nothing answers there: look at host and port in DATABASE_DSN, and at firewalls'],
  ['HANDSHAKE_NO_SSL_SUPPORT', 'the server has no TLS: set it up there, or ask for none in DATABASE_DSN'],
]);

/** The remedy for an error of the connection, or null when none is known. Pure. */
export function remedyForCode(code: string | null): string | null {
  return code === null ? null : (BY_CODE.get(code) ?? null);
}

/** The remedy for an answer of the server, or null when none is known. Pure. */
export function remedyFor(number: number | null, text: string): string | null {
  const byText = BY_TEXT.find(([pattern]) => pattern.test(text))?.[1];
  return byText ?? (number === null ? null : (BY_NUMBER.get(number) ?? null));
}
