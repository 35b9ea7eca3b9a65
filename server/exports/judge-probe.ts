import type { ExportTarget, ProbeResult } from './export-server';

/**
 * What is wrong with an answer, in words; null when it is right. `node` is the disk that was verified
 * (`nodeKey`): the process that answered must have that one open. Where the kernel does not show what it has
 * open, name and size have to do.
 */
export function complaint(target: ExportTarget, probe: ProbeResult, node: string): string | null {
  if (!probe.ok) return `export ${target.name}: ${probe.message}`;
  if (probe.readOnly !== (target.readOnly ?? false))
    return `export ${target.name} ${probe.readOnly ? 'is read-only' : 'can be written'}, which was not asked for`;
  if (probe.size !== target.size)
    return `export ${target.name} answers with ${probe.size} bytes instead of ${target.size}`;
  if (servesAnother(probe, node))
    return `export ${target.name} serves another disk than ${target.devicePath} was when it was verified`;
  return null;
}

/** Certain that a wrong disk is behind the name. */
export function servesAnother(probe: ProbeResult, node: string): boolean {
  return probe.ok && probe.nodes != null && !probe.nodes.includes(node);
}
