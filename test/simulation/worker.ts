import { runSeeds } from './totals';

/** A process of the pool: seeds in, totals out. It ends when its parent lets go of it. */
process.on('message', (order: { from: number; count: number; stopAtFirst: boolean }) => {
  void runSeeds(order.from, order.count, order.stopAtFirst).then((totals) => process.send?.(totals));
});
process.on('disconnect', () => process.exit(0));
