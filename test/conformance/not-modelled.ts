/**
 * What the real server was seen to do, or is known to do, and the simulator does not;
 * docs/reference/cloudstack-simulator.md says the same.
 */
export interface NotModelled {
  readonly what: string;
  readonly why: string;
  /** Commands that it concerns and that the simulator must not pretend to have. */
  readonly commands?: readonly string[];
}

export const NOT_MODELLED: readonly NotModelled[] = [
  {
    what: 'listHosts and configureSimulator for root administrators',
    why: 'users are refused them as on the real server; faults of agents are switched on the control port instead',
    commands: ['listHosts', 'configureSimulator'],
  },
  {
    what: 'prepareForShutdown',
    why: 'it hung when it was tried; the fault `status` with 530 and its text stands for a server that is shutting down',
    commands: ['prepareForShutdown'],
  },
  {
    what: 'the fields clusterid, clustername, podid, podname of volumes, and bootmode, boottype of VMs',
    why: 'no client of ours reads them, and the model has no pods and clusters',
  },
  {
    what: 'the fields of listVirtualMachines beyond details=min (template, service offering, network cards)',
    why: 'no client of ours asks for them',
  },
  {
    what: 'the headers content-security-policy, Vary and Connection: close, and compressed answers',
    why: 'they say nothing of CloudStack; the fault proxies stand for what is between',
  },
  {
    what: 'local, tagged and customised-IOPS disk offerings',
    why: 'the model has one storage pool; the fault `no-storage` gives the failure that a tag leads to',
  },
  {
    what: 'the difference between an inactive and a removed disk offering',
    why: 'listDiskOfferings leaves both out, which the condition `hidden` does',
  },
  {
    what: 'the serial of a disk that is plugged while updateVolume gives its volume another id',
    why: 'a running VM keeps the old serial; the simulated guest is told of plugs only, and a later unplug goes by the new id',
  },
  {
    what: 'what revertSnapshot does on KVM',
    why: 'only its refusals were recorded; the simulator succeeds and puts the size back, and a simulated disk has no content',
  },
  {
    what: 'the daily clean-up of volumes in Destroy and of destroyed VMs',
    why: 'it comes a day later; until then both stay, which is what a client has to live with',
  },
  {
    what: 'answers of an agent that come after the command has timed out',
    why: 'the recorded outcome is the failure, which the fault `agent-fails` with `ms` gives',
  },
  {
    what: 'the texts for an account or project that cannot be used in createVolume and lists',
    why: 'they were not recorded; codes are as in the source of the server',
  },
  {
    what: 'domains, domain administrators, several users of an account, roles made by hand',
    why: 'they were not tried on the real server; `denied` takes single commands from every role',
  },
  {
    what: 'every rule by which the database compares names',
    why: 'case, accents and trailing spaces are modelled; ligatures and the like are not',
  },
  {
    what: 'VMs on whose stop or start high availability would act',
    why: 'a stop or start that fails puts the VM back to where it was',
  },
];
