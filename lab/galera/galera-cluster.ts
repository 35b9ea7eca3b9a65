import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { installDatabase, OSSEA_CONFIGS } from '../mariadb';
import { ensureLibrary, ensurePackages, unpackPackage } from '../packages';
import { freePort } from '../ports';
import { GaleraNode, type NodePorts, PROVIDER } from './galera-node';

const USER = 'oma_user';
const PASSWORD = 'oma_password';
export const DATABASE = 'migratekit_oma';
/** ms */
const PATIENCE_MS = 180_000;
const NODES = ['one', 'two', 'three'];

/** A real Galera cluster of three on this machine, from Debian's packages, in a private folder. */
export class GaleraCluster {
  private constructor(
    readonly dir: string,
    readonly nodes: readonly [GaleraNode, GaleraNode, GaleraNode],
  ) {}

  static async start(say: (text: string) => void = () => {}): Promise<GaleraCluster> {
    const programs = ensurePackages(['mariadbd', 'mariadb-install-db', 'my_print_defaults', 'rsync', 'ss']);
    ensureLibrary(PROVIDER, 'galera-4');
    const dir = mkdtempSync(join(tmpdir(), 'volume-galera-'));
    // The scripts of the state transfer are in the package of the service, which nobody wants started here.
    const unpacked = join(dir, 'unpacked');
    mkdirSync(unpacked);
    unpackPackage('mariadb-server', unpacked);
    const ports: NodePorts[] = [];
    for (const _ of NODES)
      ports.push({
        sql: await freePort(),
        group: await freePort(),
        increments: await freePort(),
        state: await freePort(),
      });
    const groupPorts = ports.map(({ group }) => group);
    const [one, two, three] = NODES.map((name, index) => {
      const own = ports[index];
      if (!own) throw new Error('a node without ports');
      return new GaleraNode({
        name,
        dir: join(dir, name),
        ports: own,
        groupPorts,
        program: programs.mariadbd,
        scripts: join(unpacked, 'usr/bin'),
      });
    });
    if (!one || !two || !three) throw new Error('three nodes are wanted');
    const cluster = new GaleraCluster(dir, [one, two, three]);
    try {
      for (const node of cluster.nodes) node.configure();
      say('installing and starting the first node');
      installDatabase(programs['mariadb-install-db'], join(dir, one.name));
      giveAway(dir);
      await one.start({ isFirst: true });
      await one.query(`CREATE USER '${USER}'@'%' IDENTIFIED BY '${PASSWORD}'`);
      await cluster.createDatabase(DATABASE);
      for (const node of [two, three]) {
        say(`node ${node.name} joins`);
        await node.start();
      }
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  /** The daemon's DSN; the addresses in this order. */
  dsn(nodes: readonly GaleraNode[] = this.nodes, database = DATABASE): string {
    return `${USER}:${PASSWORD}@tcp(${nodes.map(({ address }) => address).join(',')})/${database}`;
  }

  async createDatabase(name: string): Promise<void> {
    const [one] = this.nodes;
    await one.query(`CREATE DATABASE \`${name}\` CHARACTER SET utf8mb4`);
    await one.query(`GRANT ALL ON \`${name}\`.* TO '${USER}'@'%'`);
  }

  async configureCloud(cloud: {
    url: string;
    apiKey: string;
    secretKey: string;
    zoneId: string;
  }): Promise<void> {
    const [one] = this.nodes;
    await one.query(OSSEA_CONFIGS, [], DATABASE);
    const row = {
      name: 'lab',
      api_url: cloud.url,
      api_key: cloud.apiKey,
      secret_key: cloud.secretKey,
      zone: cloud.zoneId,
      is_active: 1,
      updated_at: new Date(),
    };
    await one.query('INSERT INTO ossea_configs SET ?', [row], DATABASE);
  }

  /** Every node is synced and sees all the others: only then may the next one be hurt. */
  async untilWhole(): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    while (performance.now() < deadline) {
      const sizes = await Promise.all(this.nodes.map((node) => node.size()));
      if (sizes.every((size) => size === this.nodes.length)) return;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    throw new Error(
      `the cluster is not whole:\n${this.nodes.map((node) => node.log().slice(-2000)).join('\n')}`,
    );
  }

  async stop(): Promise<void> {
    for (const node of this.nodes) {
      node.thaw();
      await node.kill();
    }
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** To the user that the nodes run as. */
function giveAway(dir: string): void {
  if (process.getuid?.() !== 0) return;
  const result = spawnSync('chown', ['-R', 'nobody:nogroup', dir], { encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`chown failed: ${result.stderr}`);
}
