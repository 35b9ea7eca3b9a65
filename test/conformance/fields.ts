import { expect } from 'vitest';
import type { Answer } from './conversation';
import { listed } from './table';

/**
 * Fields of objects as the real server was seen to send them; a simulator may leave some out, and
 * must not invent any.
 */
const OWNER = 'account domainid domain domainpath';
const VOLUME = `id name zoneid zonename type provisioningtype size created state ${OWNER} destroyed isextractable quiescevm supportsstoragesnapshot deleteprotection tags hasannotations`;
const OFFERING = 'diskofferingid diskofferingname diskofferingdisplaytext';
const ATTACHED = 'deviceid virtualmachineid vmname vmdisplayname vmstate vmtype';
const LOAD = 'diskkbsread diskkbswrite diskioread diskiowrite';
const TEMPLATE =
  'templateid templatename templatedisplaytext serviceofferingid serviceofferingname serviceofferingdisplaytext';
const STORAGE =
  'storagetype hypervisor storage displayvolume path storageid clusterid clustername podid podname';
const VM = `id name displayname ${OWNER} userid username created lastupdated state haenable zoneid zonename hostcontrolstate guestosid securitygroup nic hypervisor details affinitygroup isdynamicallyscalable deleteprotection ostypeid osdisplayname bootmode boottype pooltype receivedbytes sentbytes tags hasannotations`;

const REAL = {
  volume: `${VOLUME} ${OFFERING}`,
  'volume of a running job': `${VOLUME} ${OFFERING} jobid jobstatus`,
  'volume of a project': `${VOLUME.replace('account ', 'project projectid ')} ${OFFERING}`,
  'attached volume': `${VOLUME} ${OFFERING} ${ATTACHED} ${LOAD} attached`,
  'attached volume to root': `${VOLUME} ${OFFERING} ${ATTACHED} ${LOAD} attached ${STORAGE}`,
  'root disk': `${VOLUME} ${TEMPLATE} ${ATTACHED} ${LOAD}`,
  'root disk to root': `${VOLUME} ${TEMPLATE} ${ATTACHED} ${LOAD} ${STORAGE}`,
  vm: `${VM} readonlydetails`,
  'vm to root': `${VM} hostid hostname instancename displayvm`,
  zone: 'id name networktype securitygroupsenabled allocationstate zonetoken dhcpprovider localstorageenabled tags allowuserspecifyvrmtu routerprivateinterfacemaxmtu routerpublicinterfacemaxmtu type isnsxenabled ismultiarch asnrange hasannotations',
  offering:
    'id name state displaytext disksize created iscustomized storagetype provisioningtype displayoffering disksizestrictness encrypt hasannotations',
  snapshot: `id ${OWNER} volumeid volumename volumetype volumestate created name intervaltype state physicalsize zoneid zonename revertable virtualsize tags hasannotations`,
  'pending job':
    'accountid account domainid domainpath userid cmd jobstatus jobprocstatus jobresultcode jobinstancetype jobinstanceid managementserverid created jobid',
} as const;

/**
 * Like `listed`, and the first item has fields of the real server only. `lacks`: those that ours does
 * without.
 */
export function listedAs(
  kind: keyof typeof REAL,
  key: string,
  count: number,
  first: Readonly<Record<string, unknown>> = {},
  lacks = '',
) {
  return (answer: Answer): void => {
    listed(key, count, first)(answer);
    const real = REAL[kind].split(' ').filter((field) => !lacks.split(' ').includes(field));
    expect(Object.keys(answer.items(key)[0] ?? {}).sort()).toEqual(real.sort());
  };
}
