import { MemoryLedger } from '~/server/database/memory/memory-ledger';
import { MemoryStore } from '~/server/database/memory/memory-store';
import { describeLedger } from './ledger';

describeLedger('in memory', async () => {
  let store = new MemoryStore();
  return {
    open: (options) => new MemoryLedger({ store, now: Date.now, ...options }),
    reset: async () => {
      store = new MemoryStore();
    },
    close: async () => {},
  };
});
