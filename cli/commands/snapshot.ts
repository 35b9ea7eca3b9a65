import { flag, option, positional, requiredOption } from '../arguments';
import type { Reply } from '../client/operations';
import { type Noun, verb } from '../command';
import { EXIT } from '../exit';
import { LIST } from '../globals';
import type { Column } from '../output/table';
import { REQUEST, VOLUME } from './arguments';
import { field, OPERATION_COLUMNS, sizeColumn, state, timeColumn } from './columns';
import { requestOperation } from './outcome';
import { requireConfirmation } from './volume';

const SNAPSHOT_COLUMNS: readonly Column<Reply<'listSnapshots'>[number]>[] = [
  field('id'),
  field('name'),
  state('state'),
  sizeColumn('size', ({ size }) => size),
  timeColumn('created', ({ created }) => created),
];

export const snapshotNoun: Noun = {
  name: 'snapshot',
  alias: 'snapshots',
  summary: 'List, take and delete snapshots of volumes',
  verbs: [
    verb({
      name: 'list',
      summary: 'List the snapshots of a volume, as CloudStack shows them',
      args: { volume: VOLUME, ...LIST },
      columns: SNAPSHOT_COLUMNS,
      examples: [{ args: '<volume>', what: 'Newest first.' }],
      async run({ client, out }, { volume }) {
        const listed = await client.call('listSnapshots', { path: { id: volume } });
        out.table(SNAPSHOT_COLUMNS, listed, 'The volume has no snapshot.');
        return EXIT.OK;
      },
    }),
    verb({
      name: 'create',
      summary: 'Take a snapshot of a volume, in use or not',
      details:
        'Its name in CloudStack ends with the id of the operation. What the users of the volume have not flushed yet is not in it.',
      args: { volume: VOLUME, name: option('text', 'what its name begins with', 'name'), ...REQUEST },
      columns: OPERATION_COLUMNS,
      examples: [
        {
          args: '<volume> --name before-failover --wait',
          what: 'Take it and wait; snapshot_id is in the answer.',
        },
      ],
      run(context, args) {
        const input = { path: { id: args.volume }, body: { name: args.name } };
        return requestOperation(context, args, 'createSnapshot', input);
      },
    }),
    verb({
      name: 'group',
      summary: 'Take a snapshot of several volumes of a VM, all or none',
      details:
        'One operation for each volume; when one fails, the snapshots of the others are deleted. They are taken side by side, not at one moment.',
      args: {
        vm: requiredOption('id', 'id of the VM', 'vm_id'),
        volumes: {
          ...requiredOption('volume,volume', 'its volumes, each named like any volume', 'volume_ids'),
          complete: 'volume',
          several: true,
        },
        name: option('text', 'what their names begin with', 'name'),
        ...REQUEST,
      },
      columns: OPERATION_COLUMNS,
      examples: [{ args: '--vm <id> --volumes <volume>,<volume> --wait', what: 'Before a failover.' }],
      run(context, { vm, volumes, name, ...args }) {
        const volume_ids = volumes.split(',');
        return requestOperation(context, args, 'createSnapshotGroup', {
          body: { vm_id: vm, volume_ids, name },
        });
      },
    }),
    verb({
      name: 'delete',
      summary: 'Delete a snapshot',
      details: 'Asks first on a terminal; anywhere else --yes is needed.',
      args: {
        snapshot: positional('id of the snapshot', 'id'),
        yes: { ...flag('do not ask'), short: 'y' },
        ...REQUEST,
      },
      columns: OPERATION_COLUMNS,
      examples: [{ args: '<snapshot> --yes --wait', what: 'For a script.' }],
      async run(context, args) {
        await requireConfirmation(context, args, `Delete snapshot ${args.snapshot}?`);
        return requestOperation(context, args, 'deleteSnapshot', { path: { id: args.snapshot } });
      },
    }),
  ],
};
