// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the faults are pieces of source code
/** A fault planted in the daemon's own code: one place of one file, replaced in a copy of the repository. */
export interface Mutant {
  readonly name: string;
  /** What the daemon does wrong then. */
  readonly what: string;
  readonly file: string;
  readonly find: string;
  readonly replace: string;
  /** A schedule that has found it: tried first. */
  readonly seed: number;
}

/** Faults that the simulation must find. Some of them are ones that it has found in earlier versions. */
export const MUTANTS: readonly Mutant[] = [
  {
    name: 'blind-resend',
    what: 'after a lost reply the call is sent again under a new job id, without asking what became of the first',
    file: 'server/operations/decide/mutation.ts',
    find: "if (s.facts.job?.jobId !== state.jobId) return { do: 'query-job', jobId: state.jobId };",
    replace: 'if (s.facts.job?.jobId !== state.jobId) return intend(s, step);',
    seed: 22,
  },
  {
    name: 'unjournaled-job',
    what: 'CloudStack is given another job id than the one in the intent',
    file: 'server/operations/execute/actions.ts',
    find: 'run.parts.cloud.submit(command, jobId)',
    replace: 'run.parts.cloud.submit(command, run.parts.random.uuid())',
    seed: 1,
  },
  {
    name: 'create-not-looked-for',
    what: 'a createVolume whose reply is lost is sent again without looking for its volume',
    file: 'server/operations/decide/create.ts',
    find: "if (step.result === 'lost') return findLostVolume(s, checked);",
    replace:
      "if (step.result === 'lost') return { do: 'submit', step: STEP, jobId: (s.facts.job?.jobId ?? ''), command: commandOf(s.operation, checked) };",
    seed: 114,
  },
  {
    name: 'export-stays',
    what: 'a detach does not withdraw the export before it detaches',
    file: 'server/operations/decide/detach.ts',
    find: "return { do: 'withdraw', volumeId: volume.id, force: mayCut };",
    replace: 'return null;',
    seed: 1337,
  },
  {
    name: 'gone-not-awaited',
    what: 'a detach is done when CloudStack says so, whatever the guest still has',
    file: 'server/operations/decide/detach.ts',
    find: "    return { do: 'await-gone', volumeId: goal.volumeId, timeout: LIMITS.DEVICE_GONE_DEADLINE_MS };\n  if (mapping) return unmap(mapping);\n  if (s.facts.gone) return null;",
    replace: '    return mapping ? unmap(mapping) : null;\n  if (s.facts.gone) return null;',
    seed: 98,
  },
  {
    name: 'letter-is-identity',
    what: 'a mapping is believed when there is a disk under its letter, whichever it is',
    file: 'server/devices/identity.ts',
    find: 'if (!device) return no(`${mapping.devicePath} is gone`);',
    replace:
      'if (!device) return no(`${mapping.devicePath} is gone`);\n  if (device.path === mapping.devicePath) return { ok: true };',
    seed: 21,
  },
  {
    name: 'not-mapped',
    what: 'an attach that finds its volume attached already does not map it',
    file: 'server/operations/decide/attach.ts',
    find: 'const current = mapped !== null && ',
    replace: 'const current = s.journal.intentAt(STEP) === null || mapped !== null && ',
    seed: 143,
  },
  {
    name: 'delete-not-read-back',
    what: 'a delete whose answer was lost counts as done',
    file: 'server/operations/decide/delete.ts',
    find: "if (volume === 'absent') return",
    replace: "if (volume === 'absent' || (call.at === 'ended' && call.outcome === 'unknown')) return",
    seed: 176,
  },
  {
    name: 'deleted-not-looked-at',
    what: 'a delete does not look at the guest again after its call',
    file: 'server/operations/decide/delete.ts',
    find: "deleted(s, volumeId, call.at !== 'none')",
    replace: 'deleted(s, volumeId, false)',
    seed: 978428,
  },
  {
    name: 'vanished-export-stays',
    what: 'the export of a disk that vanished is left until the next sync',
    file: 'server/sync/revoke-exports.ts',
    find: 'await closeWrongLinks(parts, snapshot);\n    await revokeUnproven(parts, applianceVmId, snapshot());',
    replace: 'snapshot();',
    seed: 38,
  },
  {
    name: 'mapping-stays',
    what: 'a detach leaves the mapping',
    file: 'server/operations/decide/detach.ts',
    find: 'if (mapping) return unmap(mapping);',
    replace: 'if (mapping) return null;',
    seed: 1,
  },
  {
    name: 'not-published',
    what: 'an attach ends before its export answers',
    file: 'server/operations/decide/attach.ts',
    find: 'if (!s.policy.exportsEnabled) return done(',
    replace: 'if (fact) return done(',
    seed: 1,
  },
  {
    name: 'conflictingOperation-by-acceptance',
    what: 'without serials an attach waits for those that were accepted before it, not for those that are under way',
    file: 'server/operations/execute/observations.ts',
    find: 'other.id !== run.operation.id &&\n        ((other',
    replace: 'other.sequence < run.operation.sequence &&\n        ((other',
    seed: 114408,
  },
  {
    name: 'last-look-forgotten',
    what: 'a disk without a serial that came in the last 5 s before the submit counts as new, as the specification would have it',
    file: 'server/devices/correlation.ts',
    find: "disk.diskseq === diskseq) ? 'old' : 'new';",
    replace: "disk.diskseq === diskseq && windowMs < 0) ? 'old' : 'new';",
    seed: 128290,
  },
  {
    name: 'attached-forgotten',
    what: 'a new disk without a serial is taken although another volume is attached here and has neither mapping nor disk',
    file: 'server/operations/attached-here.ts',
    find: 'if (applianceVmId === null ||',
    replace: "if (applianceVmId !== '' ||",
    seed: 348204,
  },
  {
    name: 'sent-for-ever',
    what: 'a call whose reply and whose job are both lost is sent again and again, although CloudStack says that it has had it',
    file: 'server/operations/decide/mutation.ts',
    find: 'if (s.facts.taken === state.jobId) return',
    replace: "if (s.facts.taken === '') return",
    seed: 166530,
  },
];
