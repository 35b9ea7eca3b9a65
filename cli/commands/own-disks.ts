import { type OwnDisk, ownDiskText } from '~/server/devices/own-disks';
import { positional } from '../arguments';
import { verb } from '../command';
import type { Context } from '../context';
import { EXIT, UsageError } from '../exit';
import { LIST } from '../globals';
import { type DiskIdentity, isNamed, type LocalDisk, localDisks } from '../local-disks';
import type { Column } from '../output/table';
import { addOwnDisk, identityFor, isListed, readList, removeOwnDisk } from '../own-disks-file';
import { DRY_RUN } from './arguments';
import { field } from './columns';

interface Row extends OwnDisk {
  /** The disk that it names now; null when none is here. */
  readonly disk: string | null;
}

const COLUMNS: readonly Column<Row>[] = [
  { name: 'line', value: ({ line }) => line },
  field('by'),
  field('value'),
  {
    name: 'disk',
    value: ({ disk }) => disk ?? 'not here now',
    tone: ({ disk }) => (disk ? 'plain' : 'warn'),
  },
];

export const ownDisks = verb({
  name: 'own',
  summary: "List the disks that are this system's for good, or change the list",
  details:
    'Disks on the list are never exported and never taken for disks of migrated machines. It is /etc/volume-daemon/own-disks of the machine that runs this command; ' +
    'the daemon is not asked and needs no restart. Disks in use are recognised without it. A letter such as /dev/vdb is listed by the serial, else the place, that the disk has now.',
  args: {
    action: {
      ...positional('add, remove or list'),
      complete: ['add', 'remove', 'list'],
      meanings: { add: 'a disk is ours', remove: 'a disk is not ours', list: 'which are' },
    },
    disk: {
      ...positional(
        'a disk like /dev/vdb, a serial, the id of a volume, or a name below /dev/disk/by-path or by-id',
      ),
      optional: true,
      complete: 'device',
    },
    ...DRY_RUN,
    ...LIST,
  },
  columns: COLUMNS,
  onThisMachine: true,
  examples: [
    { args: 'list', what: 'What is listed, which disk that is now, and lines that are not understood.' },
    { args: 'add /dev/vdb', what: 'The disk that is vdb now is ours, whatever it is called later.' },
    { args: 'add 0f3c9a517be24d609a44', what: 'The disk with this serial is ours.' },
  ],
  run: async (context, { action, disk, 'dry-run': dryRun }) => {
    if (action === 'list' && disk === undefined) return list(context);
    if (action !== 'list' && action !== 'add' && action !== 'remove')
      throw new UsageError(`${action} is not known`, 'It is add, remove or list.');
    if (action === 'list') throw new UsageError('list takes no disk');
    if (disk === undefined) throw new UsageError(`which disk is to be ${action}ed is missing`);
    return change(context, action, disk, dryRun ?? false);
  },
});

function list({ out }: Context): number {
  const here = localDisks();
  const { disks, problems } = readList();
  const rows = disks.map((one) => ({ ...one, disk: pathsOf(one, here) || null }));
  out.table(COLUMNS, rows, 'No disk is listed. Disks in use are recognised without the list.');
  for (const problem of problems) out.complain(problem, 'warn');
  return problems.length === 0 ? EXIT.OK : EXIT.FAILED;
}

function change({ out }: Context, action: 'add' | 'remove', word: string, dryRun: boolean): number {
  const here = localDisks();
  const identity = identityFor(word, here);
  const now = pathsOf(identity, here);
  const disk = `${ownDiskText(identity)}${now === '' ? '' : ` (${now})`}`;
  if (dryRun) {
    const listed = isListed(identity);
    const changes = listed === (action === 'remove');
    out.say(
      `${disk} is ${listed ? '' : 'not '}listed; ${changes ? `it would be ${action === 'add' ? 'added' : 'removed'}` : 'nothing would change'}`,
    );
    return EXIT.OK;
  }
  const changed = action === 'add' ? addOwnDisk(identity) : removeOwnDisk(identity);
  const state = action === 'add' ? 'is listed' : 'is not listed';
  out.say(`${disk} ${state}${changed ? '' : ' already'}; udevadm trigger --action=change tells udev`);
  // A mistyped serial protects nothing, and looks as if it did.
  if (action === 'add' && now === '')
    out.complain('No disk of this machine is named so now: the line protects one that comes later.', 'warn');
  const named = here.filter((one) => isNamed(identity, one));
  const left = readList().disks.filter((one) => named.some((disk) => isNamed(one, disk)));
  if (action === 'remove' && left.length > 0) {
    const lines = left.map((one) => `line ${one.line}: ${ownDiskText(one)}`).join('; ');
    out.complain(`${now} is still listed, by ${lines}`, 'warn');
    return EXIT.FAILED;
  }
  return changed || action === 'add' ? EXIT.OK : EXIT.FAILED;
}

/** The disks that it names now, for people; '' when none is here. */
function pathsOf(identity: DiskIdentity, here: readonly LocalDisk[]): string {
  return here
    .filter((disk) => isNamed(identity, disk))
    .map(({ path }) => path)
    .join(', ');
}
