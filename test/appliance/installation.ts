import { readFile } from 'node:fs/promises';
import type { ApiClient } from '~/lab/client';
import type { Simulator } from '~/lab/cloudstack/http';
import { configurationRow, DATABASE } from './database';
import type { Machine } from './machine';
import { until } from './patience';

export const SNAPSHOT = 'ready';
/**
 * The same in every world: the daemon in the snapshot knows them already. They open nothing but the simulated
 * CloudStack.
 */
export const KEYS = { apiKey: 'appliance-test-api-key', secretKey: 'appliance-test-secret-key' };

interface Parts {
  readonly machine: Machine;
  readonly cloud: Simulator;
  readonly api: ApiClient;
}

/**
 * A clean guest gets the package and nothing else is done to it: the daemon must start by itself, find its
 * database and CloudStack, and take requests. That state is kept as a snapshot in the overlay. Returns how
 * long its parts took.
 */
export async function installPackage({ deb, ...parts }: Parts & { readonly deb: string }): Promise<string> {
  const { machine, api } = parts;
  const { agent } = machine;
  const watch = stopwatch();
  machine.createOverlay();
  await machine.start();
  watch.lap('boot');
  await agent.run('cat > /root/volume-daemon.deb', await readFile(deb));
  await agent.run(DATABASE);
  await configureCloud(parts);
  watch.lap('database');
  await agent.run(
    'export DEBIAN_FRONTEND=noninteractive; apt-get install -y -q --no-install-recommends /root/volume-daemon.deb 2>&1',
  );
  watch.lap('apt install');
  await daemonReady(api.url);
  watch.lap('ready');
  await agent.run('systemctl is-enabled volume-daemon volume-daemon-nbd.socket');
  await agent.run('systemctl is-active volume-daemon volume-daemon-nbd.socket');
  await agent.run('dpkg --verify volume-daemon');
  await agent.run('volumectl health');
  // A connection to CloudStack that the snapshot holds would be dead in the next guest.
  await until('the daemon has no connection to CloudStack open', async () => {
    const open = await agent.run('ss -Htn state established dst 10.0.2.100');
    return open === '';
  });
  await agent.run('sync');
  await machine.save(SNAPSHOT);
  await machine.powerOff();
  return watch.text();
}

/** The row of ossea_configs that names the simulated CloudStack of this world. */
export async function configureCloud({ machine, cloud }: Omit<Parts, 'api'>): Promise<void> {
  const row = configurationRow({ ...KEYS, zoneId: cloud.zoneId });
  await machine.agent.run('mariadb migratekit_oma', Buffer.from(row));
}

/** Waits until the daemon at this address is the owner and takes requests. */
export function daemonReady(url: string): Promise<void> {
  return until('the daemon is ready', async () => {
    const answer = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(10_000) }).catch(() => null);
    await answer?.arrayBuffer().catch(() => null);
    return answer?.ok === true;
  });
}

function stopwatch(): { lap(name: string): void; text(): string } {
  const laps: string[] = [];
  let last = performance.now();
  return {
    lap(name) {
      const now = performance.now();
      laps.push(`${name} ${((now - last) / 1000).toFixed(1)} s`);
      last = now;
    },
    text: () => laps.join(', '),
  };
}
