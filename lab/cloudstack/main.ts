import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createSysfsGuest } from '../guest/sysfs-guest';
import { startSimulator } from './http';
import { LATENCY_KEYS, type LatencyOptions } from './latency';

const HELP = `npm run simulator [-- options]

A CloudStack API on 127.0.0.1 for trying things out. Prints its URL, keys and ids as JSON and runs until Ctrl-C.

  --port N            port to listen on; a free one by default
  --guest DIR         folder of the simulated guest's /sys/block, /dev and /proc; a new one by default
  --latency KEY=MS    how long the job of a command takes: ${LATENCY_KEYS.join(', ')}; may be repeated
  --vm-id UUID        id of the appliance's VM
  --hypervisor NAME   of the appliance; disks have serials on KVM only. Default KVM
  --account NAME      whose the appliance and the key are: admin (a root administrator, the default), plain or other
  --volume-limit N    data volumes an account may have; 535 beyond
  --page-size N       as the server setting default.page.size; 500 by default
  --api-key KEY       random by default
  --secret-key KEY    random by default
  --enforce-post      as the server setting enforce.post.requests.and.timestamps
  --help              this text

Beside the API, without a signature: GET/POST/DELETE /faults and /conditions, GET /state, POST /vms, /volumes and /projects,
PATCH /vms/ID and /volumes/ID, POST /disks (ghosts and phantoms), POST /restart. docs/reference/cloudstack-simulator.md explains them.
`;

async function main(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      port: { type: 'string' },
      guest: { type: 'string' },
      latency: { type: 'string', multiple: true },
      'vm-id': { type: 'string' },
      hypervisor: { type: 'string' },
      account: { type: 'string' },
      'volume-limit': { type: 'string' },
      'page-size': { type: 'string' },
      'api-key': { type: 'string' },
      'secret-key': { type: 'string' },
      'enforce-post': { type: 'boolean' },
      help: { type: 'boolean' },
    },
  });
  if (values.help) return void process.stdout.write(HELP);
  const dir = values.guest ?? join(tmpdir(), `volume-guest-${process.pid}`);
  const vmId = values['vm-id'];
  const guest = await createSysfsGuest({ dir, ...(vmId === undefined ? {} : { productUuid: vmId }) });
  const simulator = await startSimulator({
    guest,
    latencies: latenciesOf(values.latency ?? []),
    enforcePost: values['enforce-post'] === true,
    ...(values.port === undefined ? {} : { port: whole('--port', values.port) }),
    ...(vmId === undefined ? {} : { applianceVmId: vmId }),
    ...(values.hypervisor === undefined ? {} : { applianceHypervisor: values.hypervisor }),
    ...(values.account === undefined ? {} : { account: values.account }),
    ...count('volumeLimit', '--volume-limit', values['volume-limit']),
    ...count('pageSize', '--page-size', values['page-size']),
    ...(values['api-key'] === undefined ? {} : { apiKey: values['api-key'] }),
    ...(values['secret-key'] === undefined ? {} : { secretKey: values['secret-key'] }),
  });
  const { url, apiKey, secretKey, keys, zoneId, diskOfferingId, fixedOfferingId, applianceVmId } = simulator;
  const { sysBlockDir, devDir, procDir, dmiDir } = guest;
  const ids = { url, apiKey, secretKey, zoneId, diskOfferingId, fixedOfferingId, applianceVmId, keys };
  process.stdout.write(`${JSON.stringify({ ...ids, sysBlockDir, devDir, procDir, dmiDir }, null, 2)}\n`);
  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
  await simulator.stop();
}

function latenciesOf(given: readonly string[]): LatencyOptions {
  return Object.fromEntries(
    given.map((one) => {
      const [name, ms = ''] = one.split('=');
      const key = LATENCY_KEYS.find((known) => known === name);
      if (!key) throw new Error(`--latency ${one}: the keys are ${LATENCY_KEYS.join(', ')}`);
      return [key, whole('--latency', ms)];
    }),
  );
}

function count(name: 'volumeLimit' | 'pageSize', option: string, text: string | undefined) {
  return text === undefined ? {} : { [name]: whole(option, text) };
}

function whole(option: string, text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new Error(`${option} wants a whole number, not "${text}"`);
  return Number(text);
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
