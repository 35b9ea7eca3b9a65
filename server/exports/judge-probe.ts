import type { ExportTarget, ProbeResult } from './export-server';

/** Is this the answer of an export that is as it should be? */
export function isRight(probe: ProbeResult, target: ExportTarget): boolean {
  return probe.ok && probe.size === target.size && !probe.readOnly;
}

/** What is wrong with an answer, in words. */
export function complaint(target: ExportTarget, probe: ProbeResult): string {
  if (!probe.ok) return `export ${target.name}: ${probe.message}`;
  return probe.readOnly
    ? `export ${target.name} is read-only`
    : `export ${target.name} answers with ${probe.size} bytes instead of ${target.size}`;
}
