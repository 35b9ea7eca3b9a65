import type { Connection } from 'mysql2/promise';
import { adoptOperations } from './001-operations';
import { adoptMappings } from './002-mappings';
import { adoptExports } from './003-exports';
import { adoptConfiguration } from './004-configuration';
import { adoptStragglers } from './005-straggling-jobs';
import { addOwnerColumns } from './006-accounts';
import { adoptRecover } from './007-recover';
import { addLeases } from './009-leases';
import { addHeldColumns } from './010-held';
import { addCallerColumns } from './011-callers';
import { giveBack } from './012-old-family';
import { addVolumeLife } from './013-volume-life';
import { addCancelCallers } from './016-cancel-callers';
import { addAcceptedAt } from './017-accepted-at';
import { addReturns } from './018-returns';
import { addRenewals } from './019-renewals';

export interface Migration {
  readonly id: string;
  /** Must be safe to run again after a crash in its middle: MySQL commits every DDL statement by itself. */
  run(connection: Connection): Promise<void>;
}

/** In order. A migration that has been released is never changed. */
export const MIGRATIONS: readonly Migration[] = [
  { id: '001-operations', run: adoptOperations },
  { id: '002-mappings', run: adoptMappings },
  { id: '003-exports', run: adoptExports },
  { id: '004-configuration', run: adoptConfiguration },
  { id: '005-straggling-jobs', run: adoptStragglers },
  { id: '006-accounts', run: addOwnerColumns },
  { id: '007-recover', run: adoptRecover },
  { id: '009-leases', run: addLeases },
  { id: '010-held', run: addHeldColumns },
  { id: '011-callers', run: addCallerColumns },
  { id: '012-old-family', run: giveBack },
  { id: '013-volume-life', run: addVolumeLife },
  { id: '016-cancel-callers', run: addCancelCallers },
  { id: '017-accepted-at', run: addAcceptedAt },
  { id: '018-returns', run: addReturns },
  { id: '019-renewals', run: addRenewals },
];
