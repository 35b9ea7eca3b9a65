import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  createWriteStream,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const SCRIPT = join(HERE, 'guest-image.sh');

export interface GuestImage {
  /** Raw root file system; never written: machines run on overlays. */
  readonly root: string;
  readonly kernel: string;
  readonly initrd: string;
  /** Static busybox, also for the host's end of the way to CloudStack. */
  readonly busybox: string;
}

/**
 * The guest's root file system, from the cache when nothing it is made of has changed. Two steps, so that a
 * change of a service does not download packages again. Needs root (debootstrap).
 */
export async function guestImage(say: (text: string) => void): Promise<GuestImage> {
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'volume-daemon', 'appliance');
  mkdirSync(cache, { recursive: true });
  const script = readFileSync(SCRIPT, 'utf8');
  const packagesKey = hash(
    [/^SUITE=.*$/m, /^MIRROR=.*$/m, /^PACKAGES=.*$/m, /^packages\(\)[\s\S]*?^}/m].map(
      (part) => part.exec(script)?.[0] ?? '',
    ),
  );
  const packages = await cached(cache, `packages-${packagesKey}`, 'packages', null, say);
  const imageKey = hash(
    [packagesKey, script, ...filesBelow(join(HERE, 'guest-files')), join(HERE, 'guest-init.sh')].map(
      contentOf,
    ),
  );
  const image = await cached(cache, `image-${imageKey}`, 'image', join(packages, 'packages.tar'), say);
  for (const name of readdirSync(cache))
    if (!name.endsWith(packagesKey) && !name.endsWith(imageKey))
      rmSync(join(cache, name), { recursive: true });
  return {
    root: join(image, 'root.img'),
    kernel: join(image, 'vmlinuz'),
    initrd: join(image, 'initrd'),
    busybox: join(image, 'busybox'),
  };
}

/**
 * Where the state after the installation is kept: it belongs to this image, this machine type, this package
 * and this QEMU. Beside the image, so that it goes when that goes.
 */
export function snapshotPath({ root }: GuestImage, machine: string, deb: string): string {
  const qemu = spawnSync('qemu-system-x86_64', ['--version'], { encoding: 'utf8' }).stdout;
  const digest = createHash('sha256').update(readFileSync(deb)).update(qemu);
  for (const name of ['machine.ts', 'installation.ts', 'database.ts'])
    digest.update(readFileSync(join(HERE, name)));
  const key = digest.digest('hex');
  return join(dirname(root), `${machine}-${key.slice(0, 16)}.qcow2`);
}

/** Snapshots of this machine that belonged to earlier packages. */
export function removeOld({ root }: GuestImage, machine: string): void {
  for (const name of readdirSync(dirname(root)))
    if (name.startsWith(`${machine}-`)) rmSync(join(dirname(root), name));
}

/** Built in a folder of its own and renamed: an interrupted build leaves nothing that looks finished. */
async function cached(
  cache: string,
  name: string,
  step: 'packages' | 'image',
  input: string | null,
  say: (text: string) => void,
): Promise<string> {
  const done = join(cache, name);
  if (existsSync(done)) return done;
  if (process.getuid?.() !== 0)
    throw new Error('building the guest image needs root (debootstrap, chroot): run it once with sudo');
  say(`building the guest image: ${step} (cached in ${cache})`);
  const folder = mkdtempSync(join(cache, 'building-'));
  try {
    if (input !== null) linkSync(input, join(folder, 'packages.tar'));
    const log = createWriteStream(join(folder, 'build.log'));
    const child = spawn('bash', [SCRIPT, step, folder], { stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.pipe(log, { end: false });
    child.stderr.pipe(log, { end: false });
    const [status] = await once(child, 'close');
    log.end();
    await once(log, 'close');
    if (status !== 0)
      throw new Error(
        `guest-image.sh ${step} failed:\n${readFileSync(join(folder, 'build.log'), 'utf8').slice(-4000)}`,
      );
    if (input !== null) rmSync(join(folder, 'packages.tar'));
    renameSync(folder, done);
    return done;
  } catch (error) {
    spawnSync('rm', ['-rf', '--one-file-system', folder]);
    throw error;
  }
}

function hash(texts: readonly string[]): string {
  const digest = createHash('sha256');
  for (const text of texts) digest.update(text).update('\0');
  return digest.digest('hex').slice(0, 16);
}

/** A path stands for itself and its content, other text for itself. */
function contentOf(text: string): string {
  return text.startsWith(HERE) ? text.slice(HERE.length) + readFileSync(text, 'utf8') : text;
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}
