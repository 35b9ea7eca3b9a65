import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSysfsGuest } from '../guest/sysfs-guest';
import { startSimulator } from './http';

const HELP = `npm run simulator [-- --port N] [-- --guest DIR]

A CloudStack API on 127.0.0.1 for trying things out. Prints its URL, keys and ids as JSON and runs until Ctrl-C.

  --port N      port to listen on; a free one by default
  --guest DIR   folder of the simulated guest's /sys/block and /dev
  --help        this text
`;

async function main(args: readonly string[]): Promise<void> {
  if (args.includes('--help')) return void process.stdout.write(HELP);
  const value = (name: string) => (args.includes(name) ? args[args.indexOf(name) + 1] : undefined);
  const guest = await createSysfsGuest({
    dir: value('--guest') ?? join(tmpdir(), `volume-guest-${process.pid}`),
  });
  const port = value('--port');
  const simulator = await startSimulator({ guest, ...(port === undefined ? {} : { port: Number(port) }) });
  const { url, apiKey, secretKey, zoneId, diskOfferingId, applianceVmId } = simulator;
  process.stdout.write(
    `${JSON.stringify({ url, apiKey, secretKey, zoneId, diskOfferingId, applianceVmId, sysBlockDir: guest.sysBlockDir, devDir: guest.devDir }, null, 2)}\n`,
  );
}

await main(process.argv.slice(2));
