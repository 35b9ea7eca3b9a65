import type { CloudOwner } from './cloud';

/** An owner for people. */
export function ownerText({ projectId, account, domainId }: CloudOwner): string {
  if (projectId !== null) return `project ${projectId}`;
  return `account ${account ?? 'unknown'}${domainId === null ? '' : ` of domain ${domainId}`}`;
}
