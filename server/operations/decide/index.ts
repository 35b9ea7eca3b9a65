import type { OperationType } from '../../model/operation';
import type { Action } from '../action';
import type { Situation } from '../decision';
import { decideAttach } from './attach';
import { decideCleanup } from './cleanup';
import { decideCreate } from './create';
import { decideDelete } from './delete';
import { decideDeleteSnapshot } from './delete-snapshot';
import { decideDetach } from './detach';
import { cancelled } from './mutation';
import { decideRecover } from './recover';
import { decideResize } from './resize';
import { decideRevert } from './revert';
import { decideSnapshot } from './snapshot';
import { decideSnapshotGroup } from './snapshot-group';

/** The next action of an operation. Pure: the same situation gives the same action. */
export function decide(s: AnySituation): Action {
  const action = decideByType(s);
  return ENDS_BY_CANCEL.includes(action.do) ? (cancelled(s) ?? action) : action;
}

/** What an operation that has changed nothing waits with, or asks a CloudStack for that may be away. */
const ENDS_BY_CANCEL: readonly Action['do'][] = [
  'pause',
  'back-off',
  'read-volume',
  'read-offer',
  'read-snapshot',
  'read-vm',
  'read-appliance',
  'read-vm-volumes',
  'read-obstacles',
  'read-holders',
  'await-gone',
];

function decideByType(s: AnySituation): Action {
  switch (s.operation.type) {
    case 'create':
      return decideCreate({ ...s, operation: s.operation });
    case 'attach':
      return decideAttach({ ...s, operation: s.operation });
    case 'detach':
      return decideDetach({ ...s, operation: s.operation });
    case 'delete':
      return decideDelete({ ...s, operation: s.operation });
    case 'recover':
      return decideRecover({ ...s, operation: s.operation });
    case 'cleanup':
      return decideCleanup({ ...s, operation: s.operation });
    case 'resize':
      return decideResize({ ...s, operation: s.operation });
    case 'snapshot':
      return decideSnapshot({ ...s, operation: s.operation });
    case 'delete-snapshot':
      return decideDeleteSnapshot({ ...s, operation: s.operation });
    case 'revert':
      return decideRevert({ ...s, operation: s.operation });
    case 'snapshot-group':
      return decideSnapshotGroup({ ...s, operation: s.operation });
    default:
      return s.operation satisfies never;
  }
}

/** A situation whose operation type is not known yet. */
export type AnySituation = Omit<Situation<OperationType>, 'operation'> & {
  readonly operation: { [T in OperationType]: Situation<T>['operation'] }[OperationType];
};
