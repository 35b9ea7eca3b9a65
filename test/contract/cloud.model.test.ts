import { CloudModel } from '~/lab/cloudstack/model';
import { ModelCloud } from '~/lab/cloudstack/model-cloud';
import { NO_GUEST } from '~/lab/guest/guest';
import { systemClock, systemRandom } from '~/server/core/clock';
import { cloudContract } from './cloud';

cloudContract('the model in process', async (options = {}) => {
  const model = new CloudModel({ clock: systemClock, random: systemRandom, guest: NO_GUEST, ...options });
  return { cloud: new ModelCloud(model, systemClock), model, stop: async () => model.stop() };
});
