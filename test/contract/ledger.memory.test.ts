import { MemoryLedger } from '~/lab/ledger/memory-ledger';
import { MemoryStore } from '~/lab/ledger/memory-store';
import { describeLedger } from './ledger';

describeLedger('in memory', async () => {
  let store = new MemoryStore();
  return {
    open: (options) => new MemoryLedger({ store, now: Date.now, ...options }),
    agreeOnTimes: async () => {
      for (const [id, stored] of store.operations)
        store.operations.set(id, { ...stored, acceptedAt: stored.operation.createdAt });
    },
    reset: async () => {
      store = new MemoryStore();
    },
    close: async () => {},
  };
});
