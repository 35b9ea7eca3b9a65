import { readCredential, storedCredential } from '../../cloudstack/credentials';
import { createCloud } from '../../cloudstack/http-cloud';
import { CloudSettings } from '../../cloudstack/settings';
import { systemClock } from '../../core/clock';
import { messageOf } from '../../core/errors';
import { silentLogger } from '../../core/log/logger';
import type { Dsn } from '../../database/connection/dsn';
import { openDatabase } from '../../database/open-database';
import { readOsseaConfigs } from '../../database/ossea-configs';
import { type ConfigValues, writeConfig } from '../../database/provision';
import { checkCloudstack } from '../../diagnostics/cloudstack';
import type { OsseaConfigRow } from '../../model/ossea-config';
import type { Configuration } from '../configuration/configuration';
import { ApplianceIdentity } from '../identity';
import type { SetupRequest, Step } from './setup-request';

interface Parts {
  readonly configuration: Configuration;
  /** SMBIOS UUID of this machine. */
  readonly productUuid: () => Promise<string | null>;
}

/**
 * Sees to an active row of ossea_configs that CloudStack accepts: the values are tried before they are
 * written.
 * False: no row is there and none was asked for.
 */
export async function setUpCloudstack(
  parts: Parts,
  dsn: Dsn | null,
  request: SetupRequest,
  steps: Step[],
): Promise<boolean> {
  const active = dsn === null ? null : await activeRow(dsn);
  const wanted = request.cloudstack === null ? active : candidate(request, active);
  if (wanted === null) return false;
  const zone = await tried(parts, wanted, request, steps);
  if (zone === null || request.cloudstack === null) return true;
  const key = parts.configuration.credentials.encryptionKey;
  const values = { ...wanted, zone };
  const kept = active !== null && !request.replace;
  // The row may hold the name of its zone: it means the same.
  const asked = { ...values, zone: wanted.zone === active?.zone ? (wanted.zone ?? zone) : zone };
  if (active !== null && isSame(active, asked, key)) {
    steps.push({ name: 'ossea_configs', state: 'ok', message: `row ${active.name}` });
  } else if (kept) {
    steps.push({
      name: 'ossea_configs',
      state: 'missing',
      message: `the active row ${active.name} has other values, and stays as it is`,
      remedy: '--replace gives it the new ones',
    });
  } else if (dsn === null || request.dry_run) {
    steps.push({ name: 'ossea_configs', state: 'planned', message: `an active row for ${values.apiUrl}` });
  } else {
    await writeConfig(dsn, active?.id ?? null, {
      ...values,
      apiKey: storedCredential(values.apiKey, key),
      secretKey: storedCredential(values.secretKey, key),
    });
    steps.push({ name: 'ossea_configs', state: 'made', message: `an active row for ${values.apiUrl}` });
  }
  return true;
}

async function activeRow(dsn: Dsn): Promise<OsseaConfigRow | null> {
  const database = openDatabase(dsn, systemClock, silentLogger);
  try {
    return (await readOsseaConfigs(database.kysely)).find(({ isActive }) => isActive) ?? null;
  } catch {
    return null; // a dry run before the tables are there
  } finally {
    await database.close();
  }
}

function candidate(request: SetupRequest, active: OsseaConfigRow | null): OsseaConfigRow | null {
  if (request.cloudstack === null) return null;
  const { url, api_key, secret_key } = request.cloudstack;
  const values = { apiUrl: url, apiKey: api_key, secretKey: secret_key };
  const none = { domain: null, diskOfferingId: null, projectId: null, account: null, domainId: null };
  return {
    ...(active ?? { ...none, id: '0', name: 'new', isActive: true, updatedAt: null }),
    ...values,
    zone: request.zone ?? active?.zone ?? null,
    omaVmId: request.vm_id ?? active?.omaVmId ?? null,
  };
}

/** Asks CloudStack with these values. Returns the id of the zone, null when the values are of no use. */
async function tried(
  { configuration, productUuid }: Parts,
  row: OsseaConfigRow,
  request: SetupRequest,
  steps: Step[],
): Promise<string | null> {
  const settings = new CloudSettings({
    readRows: async () => [row],
    encryptionKey: configuration.credentials.encryptionKey,
    owner: configuration.cloudstack.owner,
    register: () => {},
    clock: systemClock,
    logger: silentLogger,
  });
  const ca = configuration.cloudstack.ca?.pem ?? null;
  const cloud = createCloud({ settings, clock: systemClock, logger: silentLogger, ca, onCall: () => {} });
  const identity = new ApplianceIdentity({
    cloud,
    logger: silentLogger,
    configuredVmId: configuration.appliance.vmId,
    osseaVmId: async () => row.omaVmId,
    productUuid,
  });
  const report = await checkCloudstack({
    cloud,
    clock: systemClock,
    settings: () => settings.active(),
    deleteMode: configuration.operations.deleteMode,
    appliance: await identity.resolve(),
  });
  if (report.version === null) {
    steps.push({
      name: 'cloudstack',
      state: 'missing',
      message: `${row.apiUrl}: ${report.problems.join('; ')}`,
      remedy: 'Correct the URL, the keys or the clock; nothing was written',
    });
    return null;
  }
  const zone = await zoneOf(cloud, row.zone, steps);
  if (zone === null) return null;
  steps.push({ name: 'cloudstack', state: 'ok', message: `${report.endpoint}, version ${report.version}` });
  const confirmed = report.appliance.verdict === 'confirmed';
  steps.push({
    name: 'appliance',
    state: report.ok && confirmed ? 'ok' : 'missing',
    message: report.ok
      ? `this VM is ${report.appliance.vmId} (${report.appliance.verdict})`
      : report.problems.join('; '),
    ...(report.ok && confirmed ? {} : { remedy: REMEDIES[request.vm_id === null ? 'guess' : 'given'] }),
  });
  return zone;
}

const REMEDIES = {
  guess: 'Name this VM with --vm, if it is not the one; the other words are those of CloudStack',
  given: 'Correct --vm, or use a key that sees this VM',
} as const;

async function zoneOf(
  cloud: { listZones(): Promise<readonly { readonly id: string; readonly name: string }[]> },
  wanted: string | null,
  steps: Step[],
): Promise<string | null> {
  try {
    const zones = await cloud.listZones();
    const found =
      wanted === null && zones.length === 1
        ? zones[0]
        : zones.find(({ id, name }) => id === wanted?.toLowerCase() || name === wanted);
    if (found !== undefined) return found.id;
    const known = zones.map(({ id, name }) => `${name} (${id})`).join(', ') || 'none';
    const what = wanted === null ? 'there is not exactly one zone' : `there is no zone ${wanted}`;
    steps.push({
      name: 'cloudstack',
      state: 'missing',
      message: `${what}; the key sees ${known}`,
      remedy: 'Name it with --zone',
    });
  } catch (error) {
    steps.push({
      name: 'cloudstack',
      state: 'missing',
      message: `zones cannot be listed: ${messageOf(error)}`,
    });
  }
  return null;
}

/** Compares the keys themselves: what is stored may be encrypted, each time in another way. */
function isSame(active: OsseaConfigRow, wanted: ConfigValues, key: Buffer | null): boolean {
  return (
    active.apiUrl === wanted.apiUrl &&
    readCredential(active.apiKey, key) === readCredential(wanted.apiKey, key) &&
    readCredential(active.secretKey, key) === readCredential(wanted.secretKey, key) &&
    active.zone === wanted.zone &&
    active.omaVmId === wanted.omaVmId
  );
}
