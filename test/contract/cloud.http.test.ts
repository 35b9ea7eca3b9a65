import { startSimulator } from '~/lab/cloudstack/http';
import { HttpCloud } from '~/server/cloudstack/http-cloud';
import { CloudSettings } from '~/server/cloudstack/settings';
import { systemClock } from '~/server/core/clock';
import { silentLogger } from '~/server/core/log/logger';
import { configRow } from '~/test/unit/cloudstack/canned-server';
import { cloudContract } from './cloud';

cloudContract('the client over HTTP on the simulator', async (options = {}) => {
  const { url, apiKey, secretKey, model, stop } = await startSimulator(options);
  const row = configRow({ name: 'simulator', apiUrl: url, apiKey, secretKey });
  const parts = { clock: systemClock, logger: silentLogger };
  const settings = new CloudSettings({
    ...parts,
    readRows: async () => [row],
    encryptionKey: null,
    register: () => {},
  });
  return { cloud: new HttpCloud({ ...parts, settings }), model, stop };
});
