import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { lstat, readdir, readlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type LabAppliance, startAppliance } from '~/lab/appliance';
import { ApiClient, type ExportReply, type OperationReply } from '~/lab/client';
import { bold, Screen } from './screen';

const run = promisify(execFile);
const GIB = 1024 ** 3;
const SIZE = GIB;
/** Written through each export; the rest of the volume stays sparse. */
const DATA_BYTES = 8 * 1024 * 1024;

const HELP = `npm run demo [-- --keep] [-- --help]

Shows the main job of the Volume Management Daemon on real parts: a private MariaDB, a CloudStack simulator with a simulated
guest, a real nbdkit, and the built daemon. Everything runs on free ports in a private folder and is removed at the end.

  --keep   leave everything running, print the URLs, clean up on Ctrl-C
  --help   this text
`;

interface DemoVolume {
  readonly name: string;
  readonly id: string;
  readonly data: string;
  readonly checksum: string;
  device: string;
}

async function main(): Promise<void> {
  const args = process.argv.slice(2);
  if (args.includes('--help')) return void process.stdout.write(HELP);
  const unknown = args.find((arg) => arg !== '--keep');
  if (unknown) {
    process.stderr.write(`unknown option ${unknown}\n\n${HELP}`);
    process.exitCode = 2;
    return;
  }
  // From the first moment and for every signal: on a terminal Ctrl-C comes twice, from there and from the
  // program that has started this one, and a second one must not end the clean-up.
  const interruption = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => interruption.abort());
  const interrupted = once(interruption.signal, 'abort').then(() => {
    process.stdout.write('\nCleaning up…\n');
    return 'interrupted' as const;
  });
  const screen = new Screen();
  screen.title('Volume Management Daemon: the main job on real parts');
  const lab = await screen.step('database, CloudStack simulator with a guest, nbdkit', () =>
    startAppliance(),
  );
  screen.note(await databaseName(lab));
  try {
    const daemon = await screen.step('the daemon (.output), from start to ready', () => lab.startDaemon());
    // The daemon gets the Ctrl-C of the terminal as well, so that the job fails then.
    const job = mainJob(screen, lab, new ApiClient(daemon.url)).then(
      () => 'done' as const,
      (error: unknown) => (interruption.signal.aborted ? interrupted : Promise.reject(error)),
    );
    const outcome = await Promise.race([job, interrupted]);
    if (outcome === 'done') screen.summary();
    if (outcome === 'done' && args.includes('--keep')) await keep(lab, daemon.url, interrupted);
    process.exitCode = outcome === 'done' ? 0 : 130;
  } finally {
    await lab.close();
  }
}

/** Another one with MYSQLD=/path/to/mysqld. */
async function databaseName({ database }: LabAppliance): Promise<string> {
  const rows = await database.query("SELECT CONCAT(VERSION(), ', ', @@version_comment) AS name");
  return Array.isArray(rows) ? String(rows[0]?.name) : 'unknown';
}

async function mainJob(screen: Screen, lab: LabAppliance, api: ApiClient): Promise<void> {
  const { cloud } = lab;
  screen.title('Two volumes of the same size, created and attached at the same time');
  const volumes = await screen.step('create 2 volumes of 1 GiB', () =>
    Promise.all(['alpha', 'beta'].map((name) => createVolume(lab, api, name))),
  );
  await screen.step('attach both to the appliance at once', () =>
    Promise.all(volumes.map((volume) => attach(api, volume, cloud.applianceVmId))),
  );
  for (const { name, id, device } of volumes) screen.note(`${name} ${id} → ${device}`);

  screen.title('Random data through each NBD export, read back from each backing file');
  await screen.step('write 8 MiB through each export (nbdcopy)', () =>
    Promise.all(volumes.map((volume) => writeThroughExport(api, volume))),
  );
  await screen.step('checksums of the backing files: equal, and not swapped', () =>
    Promise.all(volumes.map((volume) => compare(lab, volume))),
  );

  screen.title('Test failover: a disk of another VM never touches an export');
  const [first, ...others] = volumes;
  if (!first) throw new Error('no volume');
  const testVm = cloud.model.addVm({ name: 'failover-test', state: 'Stopped' }).id;
  await screen.step('detach alpha from the appliance, attach it to the test VM', async () => {
    await api.end(await api.post<OperationReply>(`/api/v1/volumes/${first.id}/detach`));
    await api.end(await api.post<OperationReply>(`/api/v1/volumes/${first.id}/attach`, { vm_id: testVm }));
  });
  const before = await exportFiles(lab);
  await screen.step('detach it from the test VM: no export file changed', async () => {
    await api.end(await api.post<OperationReply>(`/api/v1/volumes/${first.id}/detach`));
    const after = await exportFiles(lab);
    if (JSON.stringify(after) !== JSON.stringify(before))
      throw new Error(`export files changed: ${JSON.stringify({ before, after })}`);
  });
  await screen.step('the data is still there after attaching it to the appliance again', async () => {
    await attach(api, first, cloud.applianceVmId);
    await compare(lab, first);
  });
  screen.note(`alpha → ${first.device}`);

  screen.title('Detach and delete');
  await screen.step('detach both', () =>
    Promise.all(
      [first, ...others].map(async ({ id }) =>
        api.end(await api.post<OperationReply>(`/api/v1/volumes/${id}/detach`)),
      ),
    ),
  );
  await screen.step('delete both', () =>
    Promise.all(
      [first, ...others].map(async ({ id }) =>
        api.end(await api.delete<OperationReply>(`/api/v1/volumes/${id}`)),
      ),
    ),
  );
  const left = await api.get<unknown[]>('/api/v1/devices');
  const exported = await api.get<unknown[]>('/api/v1/exports');
  if (left.length + exported.length > 0)
    throw new Error(`left behind: ${JSON.stringify({ left, exported })}`);
}

async function createVolume(lab: LabAppliance, api: ApiClient, name: string): Promise<DemoVolume> {
  const { zoneId, diskOfferingId } = lab.cloud;
  const accepted = await api.post<OperationReply>('/api/v1/volumes', {
    name: `demo-${name}`,
    size: SIZE,
    zone_id: zoneId,
    disk_offering_id: diskOfferingId,
  });
  const { volume_id: id } = await api.end(accepted);
  const bytes = randomBytes(DATA_BYTES);
  const data = join(lab.dir, `${name}.data`);
  await writeFile(data, bytes);
  return { name, id, data, checksum: createHash('sha256').update(bytes).digest('hex'), device: '' };
}

async function attach(api: ApiClient, volume: DemoVolume, vmId: string): Promise<void> {
  const ended = await api.end(
    await api.post<OperationReply>(`/api/v1/volumes/${volume.id}/attach`, { vm_id: vmId }),
  );
  volume.device = String(ended.response?.device_path);
}

async function writeThroughExport(api: ApiClient, volume: DemoVolume): Promise<void> {
  const { export_name: name, port } = await api.get<ExportReply>(`/api/v1/exports/${volume.id}`);
  await run('nbdcopy', ['--', volume.data, `nbd://127.0.0.1:${port}/${name}`]);
}

/** SHA-256 of what was written must be at the start of this volume's backing file, whatever letter it had. */
async function compare(lab: LabAppliance, volume: DemoVolume): Promise<void> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(lab.guest.backingFile(volume.id), { end: DATA_BYTES - 1 }))
    hash.update(chunk);
  const found = hash.digest('hex');
  if (found !== volume.checksum)
    throw new Error(`${volume.name}: the backing file has ${found}, written was ${volume.checksum}`);
}

async function exportFiles(lab: LabAppliance): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  const folder = join(lab.nbdkit.runDir, 'exports');
  for (const name of (await readdir(folder)).sort()) {
    const path = join(folder, name);
    files[name] = `${(await lstat(path)).mtimeMs} ${await readlink(path)}`;
  }
  return files;
}

async function keep(lab: LabAppliance, url: string, interrupted: Promise<unknown>): Promise<void> {
  process.stdout.write(`
${bold('Everything is left running; Ctrl-C cleans up.')}
  dashboard          ${url}/
  API                ${url}/api/v1/health
  API document       ${url}/docs
  CloudStack         ${lab.cloud.url}
  zone               ${lab.cloud.zoneId}
  disk offering      ${lab.cloud.diskOfferingId}
  appliance VM       ${lab.cloud.applianceVmId}
  folder             ${lab.dir}
`);
  await interrupted;
}

main().catch((error: unknown) => {
  process.stderr.write(`\n${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
