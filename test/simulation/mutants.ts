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
    find: "if (s.facts.job?.jobId !== jobId) return { do: 'query-job', jobId };",
    replace: 'if (s.facts.job?.jobId !== jobId) return intend(s, step, s.journal.intent(step) ?? {});',
    seed: 78,
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
    name: 'gone-not-awaited',
    what: 'a detach is done when CloudStack says so, whatever the guest still has',
    file: 'server/operations/decide/detach.ts',
    find: "    return { do: 'await-gone', volumeId: goal.volumeId, timeoutMs: LIMITS.DEVICE_GONE_DEADLINE_MS };\n  if (mapping) return unmap(mapping);\n  if (s.facts.gone) return null;",
    replace: '    return mapping ? unmap(mapping) : null;\n  if (s.facts.gone) return null;',
    seed: 122,
  },
  {
    name: 'letter-is-identity',
    what: 'a mapping is believed when there is a disk under its letter, whichever it is',
    file: 'server/devices/identity.ts',
    find: 'if (!device) return no(`${mapping.devicePath} is gone`);',
    replace:
      'if (!device) return no(`${mapping.devicePath} is gone`);\n  if (device.path === mapping.devicePath) return { ok: true };',
    seed: 135,
  },
  {
    name: 'not-mapped',
    what: 'an attach that finds its volume attached already does not map it',
    file: 'server/operations/decide/attach.ts',
    find: 'const current = mapped !== null && ',
    replace: 'const current = s.journal.firstIntent(STEP) === null || mapped !== null && ',
    seed: 47,
  },
  {
    name: 'delete-not-read-back',
    what: 'a delete whose answer was lost counts as done',
    file: 'server/operations/decide/delete.ts',
    find: "if (call.at === 'ended' && (call.text === GONE ||",
    replace: "if (call.at === 'ended' && (call.outcome === 'unknown' || call.text === GONE ||",
    seed: 56,
  },
  {
    name: 'vanished-export-stays',
    what: 'the export of a disk that vanished is left until the next sync',
    file: 'server/sync/revoke-exports.ts',
    find: 'await closeWrongLinks(parts, snapshot);\n    await revokeUnproven(parts, applianceVmId, snapshot());',
    replace: 'snapshot();',
    seed: 8,
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
    name: 'turn-by-acceptance',
    what: 'without serials an attach waits for those that were accepted before it, not for those that are under way',
    file: 'server/operations/execute/observations.ts',
    find: '.find((one) => one.id !== run.operation.id &&',
    replace: '.find((one) => one.sequence < run.operation.sequence &&',
    seed: 3995,
  },
  {
    name: 'sent-for-ever',
    what: 'a call whose reply and whose job are both lost is sent again and again, although CloudStack says that it has had it',
    file: 'server/operations/decide/mutation.ts',
    find: 'return s.facts.taken === jobId ? lostJob(',
    replace: "return s.facts.taken === '' ? lostJob(",
    seed: 2096,
  },
  {
    name: 'hidden-is-gone',
    what: 'a volume that CloudStack does not show counts as gone',
    file: 'server/operations/decide/volume.ts',
    find: "if (volume.kind !== 'unknown') return done(volume);",
    replace:
      "return done(volume.kind === 'unknown' ? absent('it is not listed', volume.at, volume.by) : volume);",
    seed: 51,
  },
  {
    name: 'one-denial-believed',
    what: 'one answer "no such job" is believed',
    file: 'server/operations/execute/job-denials.ts',
    find: 'return denial.answers >= ANSWERS_MIN && now - denial.since >= windowMs;',
    replace: 'return denial.answers >= 1 && now >= 0 && windowMs >= 0 && ANSWERS_MIN > 0;',
    seed: 383,
  },
  {
    name: 'guards-remembered',
    what: 'what was read for the decision is taken for the last look before the call',
    file: 'server/operations/execute/actions.ts',
    find: '...(await readGuards(run, action))',
    replace:
      "...(run.facts.volume ? { volume: run.facts.volume, vm: run.facts.vm ?? null, vmVolumes: run.facts.vmVolumes ?? null, openJobs: 0, use: run.facts.use ?? { disk: 'not-there' as const, holders: [] } } : await readGuards(run, action))",
    seed: 3,
  },
  {
    name: 'refused-key-is-final',
    what: 'a 401 ends an operation, whatever CloudStack has accepted for it',
    file: 'server/operations/execute/patience.ts',
    find: 'return accepted ? Number.POSITIVE_INFINITY : LIMITS.AUTH_RETRY_DEADLINE_MS;',
    replace: 'return -1;',
    seed: 289,
  },
  {
    name: 'other-plug-ended',
    what: 'a detach ends whatever connection the volume has when the call leaves',
    file: 'server/operations/decide/permit.ts',
    find: "if (volume.vmId !== intent.vmId) return elsewhere(volume, intent.vmId ?? 'the VM of the intent');\n  if (intent.plug !== null && !samePlug(intent.plug, volume)) {",
    replace: "if (volume.vmId === '') {",
    seed: 3,
  },
  {
    name: 'deleted-once',
    what: 'a volume that stays in Destroy or Expunging counts as deleted',
    file: 'server/operations/decide/delete.ts',
    find: 'if (isLeaving(found)) return again(',
    replace:
      'if (isLeaving(found)) return deleted(s, volumeId, true);\n  if (isLeaving(found)) return again(',
    seed: 56,
  },
  {
    name: 'first-read-believed',
    what: 'a read that contradicts a finished job is believed at once, and the call is sent again',
    file: 'server/operations/decide/volume.ts',
    find: "state.outcome === 'refused' || !mayHaveWorked(state)) return null;",
    replace: "state.outcome !== 'refused' || !mayHaveWorked(state)) return null;",
    seed: 22,
  },
  {
    name: 'running-vm-destroyed',
    what: 'a VM that was stopped a while ago is destroyed without another look',
    file: 'server/operations/decide/permit.ts',
    find: "const state = permitVm(guards.vm, vmId, ['still']);\n  if (state.verdict !== 'go') return state;\n  const disks",
    replace: 'const disks',
    seed: 93,
  },
  {
    name: 'export-stays',
    what: 'a detach does not withdraw the export before it detaches',
    file: 'server/operations/decide/detach.ts',
    find: "return { do: 'withdraw', volumeId: volume.id, force: taking(s, goal).clients === true };",
    replace: 'return null;',
    seed: 3,
  },
  {
    name: 'likeness-adopted',
    what: 'a createVolume whose answer is lost takes a volume of its name for its own',
    file: 'server/operations/execute/actions.ts',
    find: 'if (!(error instanceof CloudError)) throw error;\n    await answered(run, step, jobId, error);',
    replace:
      "if (!(error instanceof CloudError)) throw error;\n    const [like] = command.name === 'createVolume' ? await run.parts.cloud.listVolumes({ name: command.volumeName }) : [];\n    if (like) {\n      await run.record({ entries: [{ step, state: 'finished', data: { job_id: jobId, volume_id: like.id, outcome: 'ok' } }], volumeId: like.id });\n      return;\n    }\n    await answered(run, step, jobId, error);",
    seed: 163,
  },
  {
    name: 'lease-outlived',
    what: 'an owner counts its lease for longer than others wait',
    file: 'server/daemon/ownership.ts',
    find: 'tenure.until = Math.max(tenure.until, sentAt + LIMITS.LEASE_HOLD_MS);',
    replace: 'tenure.until = sentAt + 3 * LIMITS.LEASE_MS;',
    seed: 151,
  },
  {
    name: 'one-clock-believed',
    what: "a standby takes over when the database's clock says so, whatever it has seen",
    file: 'server/daemon/lease.ts',
    find: 'if (unheardMs > 0) return',
    replace: 'if (unheardMs > LIMITS.LEASE_MS) return',
    seed: 23,
  },
  {
    name: 'woken-and-sends',
    what: 'an owner that stood still for longer than its lease sends to CloudStack what it had decided before',
    file: 'server/daemon/fenced-cloud.ts',
    find: '    isOwner()\n      ? send()',
    replace: '    isOwner() || send !== null\n      ? send()',
    seed: 491,
  },
  {
    name: 'one-clock-forgets-keys',
    what: "an Idempotency-Key is forgotten when the database's clock alone says that it is old",
    file: 'server/model/ledger.ts',
    find: 'return false;\n  return createdAtMs <= Math.min(databaseNowMs, at) - LIMITS.IDEMPOTENCY_TTL_MS;',
    replace: 'void at;\n  return createdAtMs <= databaseNowMs - LIMITS.IDEMPOTENCY_TTL_MS;',
    seed: 60,
  },
  {
    name: 'clocks-not-compared',
    what: "the history is pruned by the database's clock, whether the machine's own agrees or not",
    file: 'server/model/ledger.ts',
    find: 'if (apartMs <= LIMITS.CLOCKS_AGREE_MS) return null;',
    replace: 'if (apartMs >= 0) return null;',
    seed: 60,
  },
  {
    name: 'unread-journal-run',
    what: 'an operation whose journal is not understood is carried on',
    file: 'server/operations/execute/run.ts',
    find: 'this.held = this.journal.unreadable;',
    replace: 'this.held = null;',
    seed: 21,
  },
  {
    name: 'held-stops-all',
    what: 'who comes after a held operation is not resumed',
    file: 'server/operations/engine.ts',
    find: "await this.hold(operation, operation.held ?? 'its type is not known');\n        continue;",
    replace:
      "await this.hold(operation, operation.held ?? 'its type is not known');\n        return resumed;",
    seed: 171,
  },
  {
    name: 'poison-not-noted',
    what: 'an operation that ends every process is never held',
    file: 'server/operations/engine.ts',
    find: 'if (!covered && !this.stopping.signal.aborted) {',
    replace: 'if (!covered && this.stopping.signal.aborted) {',
    seed: 12,
  },
  {
    name: 'step-drops-keys',
    what: 'after a step of the clock an Idempotency-Key is not looked at',
    file: 'server/operations/operation-service.ts',
    find: 'idempotencyKey: options.idempotencyKey ?? null,',
    replace:
      'idempotencyKey: this.parts.clockSteps.hasSteppedSince(this.parts.clock.monotonic() - LIMITS.IDEMPOTENCY_TTL_MS) ? null : (options.idempotencyKey ?? null),',
    seed: 6,
  },
];
