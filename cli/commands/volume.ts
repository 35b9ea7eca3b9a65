import type { Volume } from '../client/api';
import { EXIT, Failure, type Noun, UsageError, verb } from '../command';
import type { Context } from '../context';
import { parsePairs, parseSize } from '../globals';
import type { Column } from '../output/table';
import { sizeText } from '../output/text';
import { MAPPING, MAPPING_RECORD, OPERATION_RECORD } from './columns';
import { accepted } from './outcome';

const volume = {
  type: 'positional',
  required: true,
  valueHint: 'id',
  description: 'id of the volume',
  complete: 'volume',
  field: 'id',
} as const;
const wait = {
  type: 'boolean',
  alias: 'w',
  description: 'wait until the operation has ended, naming its step',
} as const;
const key = {
  type: 'string',
  valueHint: 'text',
  description: 'Idempotency-Key: repeated within 24 hours, the same operation is answered',
  field: 'Idempotency-Key',
} as const;
const force = {
  type: 'boolean',
  description: 'also when the device is in use (journaled)',
  field: 'force',
} as const;
const vm = { type: 'string', valueHint: 'id', field: 'vm_id' } as const;

const VOLUME: readonly Column<Volume>[] = [
  { name: 'volume_id', value: ({ volume_id }) => volume_id },
  { name: 'name', value: ({ cloudstack_data: { name } }) => name },
  { name: 'state', value: ({ state }) => state },
  { name: 'size', value: ({ size }) => sizeText(size) },
  { name: 'vm_id', value: ({ vm_id }) => vm_id },
  { name: 'vm_name', value: ({ cloudstack_data: { vmname } }) => vmname },
  { name: 'device_path', value: ({ device_path }) => device_path },
  { name: 'export', value: (row) => row.export && `${row.export.export_name} (${row.export.status})` },
  {
    name: 'last_operation',
    value: ({ last_operation: last }) => last && `${last.type} ${last.status} ${last.id}`,
  },
  { name: 'zone', value: ({ cloudstack_data: { zonename } }) => zonename },
];

export const volumeNoun: Noun = {
  name: 'volume',
  alias: 'volumes',
  summary: 'Create, attach, detach and delete volumes',
  verbs: [
    verb({
      name: 'list',
      summary: 'List the volumes that are attached somewhere',
      details: 'From the mappings of the daemon. CloudStack itself is asked by "volumectl volume show".',
      args: { vm: { ...vm, description: 'only those of this VM' } },
      columns: MAPPING,
      examples: [
        { line: 'volumectl volume list', what: 'Which volume is which device.' },
        {
          line: 'volumectl volume list --columns volume_id --no-headers',
          what: 'Only the ids, for a script.',
        },
      ],
      async run({ api, out, call }, args) {
        const all = await api.listDevices({}, call);
        const shown =
          args.vm === undefined ? all : all.filter(({ vm_id }) => vm_id === args.vm?.toLowerCase());
        out.table(MAPPING, shown, 'No volume is attached.');
        return EXIT.OK;
      },
    }),
    verb({
      name: 'show',
      summary: 'Show what CloudStack, the guest and the daemon say of a volume',
      args: { volume },
      columns: VOLUME,
      examples: [
        { line: 'volumectl volume show 6f1d2c3b-4a59-4687-9786-a5b4c3d2e1f0', what: 'Everything about it.' },
      ],
      async run({ api, out, call }, args) {
        out.record(VOLUME, await api.readVolume({ path: { id: args.volume } }, call));
        return EXIT.OK;
      },
    }),
    verb({
      name: 'create',
      summary: 'Create a volume in CloudStack',
      details:
        'CloudStack counts whole GiB: other sizes are rounded up, and the size that was made is shown.',
      args: {
        name: { type: 'string', required: true, valueHint: 'text', description: 'its name', field: 'name' },
        size: {
          type: 'string',
          required: true,
          valueHint: 'size',
          description: 'like 10GiB, or bytes',
          field: 'size',
        },
        offering: {
          type: 'string',
          required: true,
          valueHint: 'id',
          description: 'id of the disk offering (volumectl check offerings)',
          field: 'disk_offering_id',
        },
        zone: {
          type: 'string',
          required: true,
          valueHint: 'id',
          description: 'id of the zone (volumectl check zones)',
          field: 'zone_id',
        },
        metadata: {
          type: 'string',
          valueHint: 'key=value,key=value',
          description: 'kept with the operation',
          field: 'metadata',
        },
        key,
        wait,
      },
      columns: OPERATION_RECORD,
      examples: [
        {
          line: 'volumectl volume create --name disk-1 --size 10GiB --offering <id> --zone <id> --wait',
          what: 'Create it and wait; volume_id is in the answer.',
        },
        {
          line: 'volumectl volume create --name disk-1 --size 10GiB --offering <id> --zone <id> --wait --quiet --columns volume_id --no-headers',
          what: 'Print only the id of the new volume.',
        },
      ],
      async run(context, args) {
        const { metadata } = args;
        const body = {
          name: args.name,
          size: parseSize(args.size, '--size'),
          disk_offering_id: args.offering,
          zone_id: args.zone,
          ...(metadata !== undefined && { metadata: parsePairs(metadata, '--metadata') }),
        };
        const input = { body, headers: { 'Idempotency-Key': args.key } };
        return accepted(context, await context.api.createVolume(input, context.call), args.wait);
      },
    }),
    verb({
      name: 'attach',
      summary: 'Attach a volume to this appliance, or to another VM',
      details:
        'On this appliance the operation completes when the device is known and its NBD export answers. Without --vm it is this appliance, as the daemon knows it.',
      args: { volume, vm: { ...vm, description: 'id of another VM' }, key, wait },
      columns: OPERATION_RECORD,
      examples: [
        {
          line: 'volumectl volume attach <volume> --wait',
          what: 'To this appliance; device_path is in the answer.',
        },
        { line: 'volumectl volume attach <volume> --vm <id> --wait', what: 'To another VM.' },
      ],
      async run(context, args) {
        const input = {
          path: { id: args.volume },
          body: { vm_id: args.vm ?? (await thisAppliance(context)) },
          headers: { 'Idempotency-Key': args.key },
        };
        return accepted(context, await context.api.attachVolume(input, context.call), args.wait);
      },
    }),
    verb({
      name: 'attach-root',
      summary: 'Attach a volume as the root disk of a stopped VM',
      args: { volume, vm: { ...vm, required: true, description: 'id of the VM' }, key, wait },
      columns: OPERATION_RECORD,
      examples: [
        { line: 'volumectl volume attach-root <volume> --vm <id> --wait', what: 'As device 0 of the VM.' },
      ],
      async run(context, args) {
        const input = {
          path: { id: args.volume },
          body: { vm_id: args.vm },
          headers: { 'Idempotency-Key': args.key },
        };
        return accepted(context, await context.api.attachRootVolume(input, context.call), args.wait);
      },
    }),
    verb({
      name: 'detach',
      summary: 'Detach a volume from its VM',
      args: { volume, force, key, wait },
      columns: OPERATION_RECORD,
      examples: [
        { line: 'volumectl volume detach <volume> --wait', what: 'Refused while anything uses the device.' },
        { line: 'volumectl volume detach <volume> --force --wait', what: 'Also then: its users get errors.' },
      ],
      async run(context, args) {
        const input = {
          path: { id: args.volume },
          ...(args.force !== undefined && { body: { force: args.force } }),
          headers: { 'Idempotency-Key': args.key },
        };
        return accepted(context, await context.api.detachVolume(input, context.call), args.wait);
      },
    }),
    verb({
      name: 'delete',
      summary: 'Delete a volume and its data, detaching it from this appliance first',
      details: 'Asks first on a terminal; anywhere else --yes is needed.',
      args: {
        volume,
        yes: { type: 'boolean', alias: 'y', description: 'do not ask' },
        force,
        key,
        wait,
      },
      columns: OPERATION_RECORD,
      examples: [
        { line: 'volumectl volume delete <volume> --wait', what: 'Asks, deletes, and waits.' },
        { line: 'volumectl volume delete <volume> --yes --wait', what: 'For a script.' },
      ],
      async run(context, args) {
        if (!args.yes) await confirmed(context, `Delete volume ${args.volume} and its data?`);
        const input = {
          path: { id: args.volume },
          ...(args.force !== undefined && { body: { force: args.force } }),
          headers: { 'Idempotency-Key': args.key },
        };
        return accepted(context, await context.api.deleteVolume(input, context.call), args.wait);
      },
    }),
    verb({
      name: 'return',
      summary: 'Bring a volume back from a test VM to this appliance, as one operation',
      details:
        'Detach from the test VM, attach here, and with --delete-vm delete the VM when no disk is left on it.',
      args: {
        volume: { ...volume, field: 'volume_id' },
        from: {
          type: 'string',
          required: true,
          valueHint: 'id',
          description: 'id of the test VM',
          field: 'test_vm_id',
        },
        'delete-vm': { type: 'boolean', description: 'delete the test VM when no disk is left on it' },
        'stop-vm': { type: 'boolean', description: 'stop the test VM when it runs' },
        yes: { type: 'boolean', alias: 'y', description: 'do not ask before the VM is deleted' },
        key,
        wait,
      },
      columns: OPERATION_RECORD,
      examples: [
        {
          line: 'volumectl volume return <volume> --from <vm> --stop-vm --wait',
          what: 'The end of a test failover.',
        },
      ],
      async run(context, args) {
        const deleteVm = args['delete-vm'] ?? false;
        if (deleteVm && !args.yes)
          await confirmed(context, `Delete VM ${args.from} when no disk is left on it?`);
        const body = {
          volume_id: args.volume,
          test_vm_id: args.from,
          oma_vm_id: await thisAppliance(context),
          delete_vm: deleteVm,
          force_clean: args['stop-vm'] ?? false,
        };
        const input = { body, headers: { 'Idempotency-Key': args.key } };
        return accepted(context, await context.api.cleanupTestFailover(input, context.call), args.wait);
      },
    }),
    verb({
      name: 'device',
      summary: 'Show which device a volume is on this appliance',
      args: { volume },
      columns: MAPPING_RECORD,
      examples: [
        {
          line: 'volumectl volume device <volume> --columns device_path --no-headers',
          what: 'Only /dev/vdX.',
        },
      ],
      async run({ api, out, call }, args) {
        out.record(MAPPING_RECORD, await api.readVolumeDevice({ path: { id: args.volume } }, call));
        return EXIT.OK;
      },
    }),
  ],
};

async function thisAppliance({ api, call }: Context): Promise<string> {
  const { details } = await api.health({}, call);
  if (details.appliance.vm_id !== null) return details.appliance.vm_id;
  throw new Failure(
    EXIT.FAILED,
    'the daemon does not know which VM it runs on',
    'Set OMA_VM_ID (or ossea_configs.oma_vm_id), or name a VM with --vm.',
  );
}

async function confirmed(context: Context, question: string): Promise<void> {
  const answer = await context.confirm(question);
  if (answer === null) throw new UsageError('there is no terminal to ask on', 'Repeat with --yes.');
  if (!answer) throw new Failure(EXIT.FAILED, 'nothing was done');
}
