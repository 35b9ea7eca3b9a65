import { randomBytes } from 'node:crypto';
import { messageOf } from '../../core/errors';
import { silentLogger } from '../../core/log/logger';
import { type Dsn, describeDsn, parseDsn } from '../../database/connection/dsn';
import { migrate } from '../../database/migrations/migrate';
import { MIGRATIONS } from '../../database/migrations/migrations';
import { hasAccount, isOldDatabase, type Login, provision, tryLogin } from '../../database/provision';
import { PUBLIC_PASSWORD, writeDsn } from './environment-file';
import type { Step } from './setup-request';

export interface DatabaseSettings {
  /** The DSN of the daemon as text, and as it is understood (with the CA that it trusts). */
  readonly text: string;
  readonly dsn: Dsn;
  /** Who may make databases and accounts. */
  readonly admin: string;
  /** Where a DSN with a new password is written to. */
  readonly environmentFile: string;
  readonly dryRun: boolean;
}

/**
 * Sees to it that the daemon can log in and that its tables are there. Returns the DSN to go on with, null
 * when there is none yet. An account or a database that works is left alone.
 */
export async function setUpDatabase(settings: DatabaseSettings, steps: Step[]): Promise<Dsn | null> {
  const dsn = await loggedIn(settings, steps);
  if (dsn === null) return null;
  const named = describeDsn(dsn);
  if (await isOldDatabase(dsn)) {
    steps.push({
      name: 'tables',
      state: 'missing',
      message: `${named} is of the old daemon: it is adopted by the first start, not by setup`,
      remedy:
        'volumectl adopt --plan shows what that does; docs/guides/runbooks.md, Moving from the Go daemon',
    });
    return dsn;
  }
  if (settings.dryRun) return dsn;
  const ran = await migrate(dsn, silentLogger);
  steps.push({
    name: 'tables',
    state: ran.length > 0 ? 'made' : 'ok',
    message:
      ran.length > 0 ? `${ran.length} steps of the schema` : `all ${MIGRATIONS.length} steps are there`,
  });
  return dsn;
}

async function loggedIn(settings: DatabaseSettings, steps: Step[]): Promise<Dsn | null> {
  const { dsn } = settings;
  const named = describeDsn(dsn);
  let login: Login;
  try {
    login = await tryLogin(dsn);
  } catch (error) {
    const message = `no server answers for ${named}: ${reasonOf(error)}`;
    steps.push({
      name: 'database',
      state: 'missing',
      message,
      remedy: 'apt install mariadb-server, or correct DATABASE_DSN',
    });
    return null;
  }
  if (login === 'works') {
    steps.push({ name: 'database', state: 'ok', message: named });
    return dsn;
  }
  try {
    return await made(settings, login, steps);
  } catch (error) {
    steps.push({
      name: 'database',
      state: 'missing',
      message: `${named} could not be made: ${messageOf(error)}`,
      remedy:
        'Run it as root on the machine of the database, or name who may make databases with --database-admin or --database-admin-file',
    });
    return null;
  }
}

async function made(settings: DatabaseSettings, login: Login, steps: Step[]): Promise<Dsn | null> {
  const { dsn, dryRun, environmentFile } = settings;
  const admin = parseDsn(settings.admin);
  const named = describeDsn(dsn);
  const isThere = login === 'no-database' || (await hasAccount(admin, dsn.user));
  if (isThere && login === 'refused') {
    steps.push({
      name: 'database',
      state: 'missing',
      message: `the account ${dsn.user} is there, and this password or its rights do not let it into ${named}`,
      remedy: `Correct DATABASE_DSN in ${environmentFile}; the password of an account that is there is not changed`,
    });
    return null;
  }
  // The file comes first: after a crash in between, the next run makes the account with what is in the file.
  const isPublic = dsn.password === PUBLIC_PASSWORD;
  const text = isThere || !isPublic ? settings.text : withNewPassword(settings.text);
  const wanted = text === settings.text ? dsn : { ...parseDsn(text), ca: dsn.ca, tls: dsn.tls };
  if (dryRun) {
    steps.push({ name: 'database', state: 'planned', message: `${named} and its account ${dsn.user}` });
    return null;
  }
  if (text !== settings.text) await writeDsn(environmentFile, text);
  await provision(admin, wanted);
  const now = await tryLogin(wanted);
  if (now !== 'works') throw new Error(`the new account ${dsn.user} does not get in (${now})`);
  const note = text === settings.text ? '' : `; its new password is in ${environmentFile}`;
  steps.push({ name: 'database', state: 'made', message: `${named} and its account ${dsn.user}${note}` });
  return wanted;
}

/** Several addresses that all refuse make an error without a message of its own. */
function reasonOf(error: unknown): string {
  return error instanceof AggregateError ? error.errors.map(messageOf).join('; ') : messageOf(error);
}

function withNewPassword(text: string): string {
  return text.replace(`:${PUBLIC_PASSWORD}@`, `:${randomBytes(PASSWORD_BYTES).toString('base64url')}@`);
}

const PASSWORD_BYTES = 24;
