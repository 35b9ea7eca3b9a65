import type { CloudOwner } from './cloud';

/** An owner as text for logs and reports. */
export function ownerText({ projectId, account, domainId }: CloudOwner): string {
  if (projectId !== null) return `project ${projectId}`;
  return `account ${account ?? 'unknown'}${domainId === null ? '' : ` of domain ${domainId}`}`;
}
