/** Which clauses of a report are shown, from the address; and the address of one clause. */
import { router } from '../../lib/router.svelte';
import type { Finding } from '../../lib/types';

export const CLAUSE_FILTERS = ['verdict', 'group', 'severity'] as const;
export type ClauseFilter = (typeof CLAUSE_FILTERS)[number];
/** Stands for all verdicts that leave a rule without a conclusion. */
export const UNSEEN = 'unseen';
const NO_CONCLUSION = ['INCONCLUSIVE', 'ERROR', 'NOT_CHECKED'];

/** The address of one clause of the report on this page; filters that would hide it are dropped. */
export function clauseHref(rule: string): string {
  const query = new URLSearchParams(router.query);
  for (const name of CLAUSE_FILTERS) query.delete(name);
  query.set('clause', rule);
  return `${router.path}?${query.toString()}`;
}

export function shows(finding: Finding, filters: Record<ClauseFilter, string>): boolean {
  const { verdict, group, severity } = filters;
  if (verdict === UNSEEN ? !NO_CONCLUSION.includes(finding.verdict) : verdict && finding.verdict !== verdict) return false;
  return (!group || finding.group === group) && (!severity || finding.severity === severity);
}
