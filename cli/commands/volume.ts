import { flag, option, requiredOption } from '../arguments';
import type { Volume } from '../client/operations';
import { type Noun, verb } from '../command';
import type { Context } from '../context';
import { EXIT, Failure, UsageError } from '../exit';
import { parsePairs, parseSize } from '../globals';
import type { Column } from '../output/table';
import { sizeText } from '../output/units';
import { REQUEST, VOLUME } from './arguments';
import { field, MAPPING_COLUMNS, OPERATION_COLUMNS } from './columns';
import { explainVolume } from './explain-volume';
import { listVolumes } from './list-volumes';
import { requestOperation } from './outcome';

const force = flag('also when the device is in use (journaled)', 'force');
const yes = { ...flag('do not ask'), short: 'y' } as const;

const VOLUME_COLUMNS: readonly Column<Volume>[] = [
  field('volume_id'),
  { name: 'name', value: ({ cloudstack_data: { name } }) => name },
  field('state'),
  {
    name: 'meaning',
    value: ({ evidence }) => evidence.cloudstack.value && `it ${evidence.cloudstack.value.state_means}`,
  },
  { name: 'size', value: ({ size }) => sizeText(size) },
  field('vm_id'),
  { name: 'vm_name', value: ({ cloudstack_data: { vmname } }) => vmname },
  field('device_path'),
  { name: 'export', value: (row) => row.export && `${row.export.export_name} (${row.export.status})` },
  {
    name: 'last_operation',
    value: ({ last_operation: last }) => last && `${last.type} ${last.status} ${last.id}`,
  },
  { name: 'zone', value: ({ cloudstack_data: { zonename } }) => zonename },
];

const CREATE = '--name disk-1 --size 10Gi --offering <id> --zone <id> --wait';

export const volumeNoun: Noun = {
  name: 'volume',
  alias: 'volumes',
  summary: 'Create, attach, detach and delete volumes',
  verbs: [
    listVolumes,
    verb({
      name: 'show',
      summary: 'Show what CloudStack, the guest and the daemon say of a volume',
      args: { volume: VOLUME },
      columns: VOLUME_COLUMNS,
      examples: [{ args: '6f1d2c3b-4a59-4687-9786-a5b4c3d2e1f0', what: 'Everything about it.' }],
      async run({ client, out }, { volume }) {
        out.record(VOLUME_COLUMNS, await client.call('readVolume', { path: { id: volume } }));
        return EXIT.OK;
      },
    }),
    verb({
      name: 'explain',
      summary: 'Explain what is known of a volume, since when, and what is not known',
      details:
        'CloudStack, guest, database and export server, each for itself, also while one of them is away. Exit code 6 when something is not known.',
      args: { volume: VOLUME },
      examples: [{ args: '<volume>', what: 'Who says what, and what to do about what nobody can say.' }],
      async run({ client, out }, { volume }) {
        const evidence = await client.call('readVolumeEvidence', { path: { id: volume } });
        return explainVolume(out, evidence);
      },
    }),
    verb({
      name: 'create',
      summary: 'Create a volume in CloudStack',
      details:
        'CloudStack counts whole GiB: other sizes are rounded up, and the size that was made is shown.',
      args: {
        name: requiredOption('text', 'its name', 'name'),
        size: requiredOption('size', 'like 10Gi, or bytes', 'size'),
        offering: {
          ...requiredOption('id', 'id of the disk offering (volumectl check offerings)', 'disk_offering_id'),
          complete: 'offering',
        },
        zone: {
          ...requiredOption('id', 'id of the zone (volumectl check zones)', 'zone_id'),
          complete: 'zone',
        },
        metadata: option('key=value,key=value', 'kept with the operation', 'metadata'),
        ...REQUEST,
      },
      columns: OPERATION_COLUMNS,
      examples: [
        { args: CREATE, what: 'Create it and wait; volume_id is in the answer.' },
        {
          args: `${CREATE} --quiet --columns volume_id --no-headers`,
          what: 'Print only the id of the new volume.',
        },
      ],
      run(context, args) {
        const { name, offering, zone, metadata } = args;
        const body = {
          name,
          size: parseSize(args.size, '--size'),
          disk_offering_id: offering,
          zone_id: zone,
          metadata: metadata === undefined ? undefined : parsePairs(metadata, '--metadata'),
        };
        return requestOperation(context, args, 'createVolume', { body });
      },
    }),
    verb({
      name: 'attach',
      summary: 'Attach a volume to this appliance, or to another VM',
      details:
        'On this appliance the operation completes when the device is known and its NBD export answers. Without --vm it is this appliance, as the daemon knows it.',
      args: {
        volume: VOLUME,
        vm: option('id', 'id of another VM', 'vm_id'),
        expected: option(
          'size',
          'what will be copied into it, like 3Gi: the share written is reckoned with it',
          'expected_bytes',
        ),
        ...REQUEST,
      },
      columns: OPERATION_COLUMNS,
      examples: [
        { args: '<volume> --wait', what: 'To this appliance; device_path is in the answer.' },
        { args: '<volume> --vm <id> --wait', what: 'To another VM.' },
      ],
      async run(context, args) {
        const expected = args.expected === undefined ? undefined : parseSize(args.expected, '--expected');
        const body = { vm_id: args.vm ?? (await thisAppliance(context)), expected_bytes: expected };
        return requestOperation(context, args, 'attachVolume', { path: { id: args.volume }, body });
      },
    }),
    verb({
      name: 'attach-root',
      summary: 'Attach a volume as the root disk of a stopped VM',
      args: { volume: VOLUME, vm: requiredOption('id', 'id of the VM', 'vm_id'), ...REQUEST },
      columns: OPERATION_COLUMNS,
      examples: [{ args: '<volume> --vm <id> --wait', what: 'As device 0 of the VM.' }],
      run(context, args) {
        const input = { path: { id: args.volume }, body: { vm_id: args.vm } };
        return requestOperation(context, args, 'attachRootVolume', input);
      },
    }),
    verb({
      name: 'detach',
      summary: 'Detach a volume from its VM',
      args: { volume: VOLUME, force, ...REQUEST },
      columns: OPERATION_COLUMNS,
      examples: [
        { args: '<volume> --wait', what: 'Refused while something uses the device, or a client copies.' },
        { args: '<volume> --force --wait', what: 'Also then: its users get errors.' },
      ],
      run: (context, args) => requestOperation(context, args, 'detachVolume', forcible(args)),
    }),
    verb({
      name: 'delete',
      summary: 'Delete a volume and its data, detaching it from this appliance first',
      details: 'Asks first on a terminal; anywhere else --yes is needed.',
      args: { volume: VOLUME, yes, force, ...REQUEST },
      columns: OPERATION_COLUMNS,
      examples: [
        { args: '<volume> --wait', what: 'Asks, deletes, and waits.' },
        { args: '<volume> --yes --wait', what: 'For a script.' },
      ],
      async run(context, args) {
        await requireConfirmation(context, args, `Delete volume ${args.volume} and its data?`);
        return requestOperation(context, args, 'deleteVolume', forcible(args));
      },
    }),
    verb({
      name: 'recover',
      summary: 'Bring a deleted volume back from the trash',
      details:
        'Possible after a delete with DELETE_MODE=trash, until CloudStack expunges the volume, and where the key may. The volume is detached afterwards.',
      args: { volume: VOLUME, ...REQUEST },
      columns: OPERATION_COLUMNS,
      examples: [{ args: '<volume> --wait', what: 'Undo a delete.' }],
      run: (context, args) => requestOperation(context, args, 'recoverVolume', { path: { id: args.volume } }),
    }),
    verb({
      name: 'resize',
      summary: 'Make a volume larger',
      details:
        'Attached or not, never smaller. CloudStack counts whole GiB: other sizes are rounded up, and the size that it has is in the answer.',
      args: { volume: VOLUME, size: requiredOption('size', 'like 20GiB, or bytes', 'size'), ...REQUEST },
      columns: OPERATION_COLUMNS,
      examples: [{ args: '<volume> --size 20GiB --wait', what: 'The whole size, not what is added.' }],
      run(context, args) {
        const input = { path: { id: args.volume }, body: { size: parseSize(args.size, '--size') } };
        return requestOperation(context, args, 'resizeVolume', input);
      },
    }),
    verb({
      name: 'revert',
      summary: 'Put a volume back to a snapshot of it',
      details:
        'What was written since is lost. Only while it is detached or its VM is stopped. Asks first on a terminal; anywhere else --yes is needed.',
      args: {
        volume: VOLUME,
        to: requiredOption('id', 'id of the snapshot (volumectl snapshot list)', 'snapshot_id'),
        yes,
        ...REQUEST,
      },
      columns: OPERATION_COLUMNS,
      examples: [{ args: '<volume> --to <snapshot> --yes --wait', what: 'For a script.' }],
      async run(context, args) {
        const question = `Replace the content of volume ${args.volume} by its snapshot?`;
        await requireConfirmation(context, args, question);
        const input = { path: { id: args.volume }, body: { snapshot_id: args.to } };
        return requestOperation(context, args, 'revertVolume', input);
      },
    }),
    verb({
      name: 'return',
      summary: 'Bring a volume back from a test VM to this appliance, as one operation',
      details:
        'Detach from the test VM, attach here, and with --delete-vm delete the VM when no disk is left on it.',
      args: {
        volume: { ...VOLUME, field: 'volume_id' },
        from: requiredOption('id', 'id of the test VM', 'test_vm_id'),
        'delete-vm': flag('delete the test VM when no disk is left on it'),
        'stop-vm': flag('stop the test VM when it runs'),
        yes: { ...yes, description: 'do not ask before the VM is deleted' },
        ...REQUEST,
      },
      columns: OPERATION_COLUMNS,
      examples: [{ args: '<volume> --from <vm> --stop-vm --wait', what: 'The end of a test failover.' }],
      async run(context, args) {
        const deletesVm = args['delete-vm'] ?? false;
        if (deletesVm)
          await requireConfirmation(context, args, `Delete VM ${args.from} when no disk is left on it?`);
        const body = {
          volume_id: args.volume,
          test_vm_id: args.from,
          oma_vm_id: await thisAppliance(context),
          delete_vm: deletesVm,
          force_clean: args['stop-vm'] ?? false,
        };
        return requestOperation(context, args, 'cleanupTestFailover', { body });
      },
    }),
    verb({
      name: 'device',
      summary: 'Show which device a volume is on this appliance',
      args: { volume: VOLUME },
      columns: MAPPING_COLUMNS,
      examples: [{ args: '<volume> --columns device_path --no-headers', what: 'Only /dev/vdX.' }],
      async run({ client, out }, { volume }) {
        out.record(MAPPING_COLUMNS, await client.call('readVolumeDevice', { path: { id: volume } }));
        return EXIT.OK;
      },
    }),
  ],
};

/** Without --force no body is sent: the settings of the daemon then decide about a device in use. */
function forcible({ volume, force }: { readonly volume: string; readonly force: boolean | undefined }) {
  return { path: { id: volume }, body: force === undefined ? undefined : { force } };
}

async function thisAppliance({ client }: Context): Promise<string> {
  const { details } = await client.call('health', {});
  if (details.appliance.vm_id !== null) return details.appliance.vm_id;
  throw new Failure(
    EXIT.FAILED,
    'the daemon does not know which VM it runs on',
    'Set OMA_VM_ID (or ossea_configs.oma_vm_id), or name a VM with --vm.',
  );
}

/** Asks a person, unless --yes has answered or --dry-run does nothing. Throws when the answer is not yes. */
export async function requireConfirmation(
  context: Context,
  args: { readonly yes: boolean | undefined; readonly 'dry-run': boolean | undefined },
  question: string,
): Promise<void> {
  if (args.yes || args['dry-run']) return;
  const answer = await context.confirm(question);
  if (answer === null) throw new UsageError('there is no terminal to ask on', 'Repeat with --yes.');
  if (!answer) throw new Failure(EXIT.FAILED, 'nothing was done');
}
