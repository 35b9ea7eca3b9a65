import { type Order, runSeeds } from './totals';

/** A process of the pool: seeds in, totals out. It ends when its parent lets go of it. */
process.on('message', (order: Order) => {
  void runSeeds(order).then((totals) => process.send?.(totals));
});
process.on('disconnect', () => process.exit(0));
