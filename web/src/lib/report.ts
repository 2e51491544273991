/** What an assessment asks of whom, and what doing it earns. Pure functions over the JSON report. */
import type { Assessment, Decision, Finding, Severity, Standard, Text, Verdict } from './types';

export type Person = 'owner' | 'installer' | 'hub';
export const PEOPLE: Person[] = ['owner', 'installer', 'hub'];
const WEIGHT: Record<Severity, number> = { B: 0, J: 1, m: 2, i: 3 };
const SETTLED: Verdict[] = ['PASS', 'NOT_APPLICABLE'];

export interface Task {
  text: Text;
  findings: Finding[];
}

/** One thing to do for each different remedy: the same advice is not given three times. */
export function tasks(findings: Finding[], person: Person): Task[] {
  const byText = new Map<string, Task>();
  for (const finding of findings) {
    const text = said(finding.remedy?.[person]);
    if (!text) continue;
    const known = byText.get(text.vi);
    if (known) known.findings.push(finding);
    else byText.set(text.vi, { text, findings: [finding] });
  }
  return [...byText.values()];
}

export const isWaived = (finding: Finding): boolean =>
  finding.overlays.some((overlay) => overlay === 'waived' || (typeof overlay === 'object' && overlay !== null && (overlay as { kind?: string }).kind === 'waived'));

export const bySeverity = (a: Finding, b: Finding): number =>
  (WEIGHT[a.severity] ?? 4) - (WEIGHT[b.severity] ?? 4) || a.rule.localeCompare(b.rule);

/** A text that was written, or null where a rule has none for this person. */
export const said = (text: Text | null | undefined): Text | null => (text && (text.vi.trim() || text.en.trim()) ? text : null);

/** Which standard an assessment was made against, in whichever of its two forms it was stored. */
export function standardOf(assessment: Assessment): Partial<Standard> {
  const named = typeof assessment.standard === 'string' ? { id: assessment.standard } : assessment.standard;
  return { ...assessment.standard_detail, ...named };
}

/** Findings that ask for a hand, by the person whose turn it is. */
export function todo(assessment: Assessment): Record<Person, Finding[]> {
  const out: Record<Person, Finding[]> = { owner: [], installer: [], hub: [] };
  for (const finding of assessment.findings) {
    if (finding.verdict !== 'FAIL' || isWaived(finding)) continue;
    const person = PEOPLE.find((one) => said(finding.remedy?.[one]));
    if (person) out[person].push(finding);
  }
  for (const person of PEOPLE) out[person].sort(bySeverity);
  return out;
}

/** The decision by the first line that holds (standard reference 3.3), with some findings taken as met. */
export function decide(findings: Finding[], met: ReadonlySet<Finding> = new Set()): Decision {
  const open = findings.filter((finding) => !SETTLED.includes(finding.verdict) && !isWaived(finding) && !met.has(finding) && finding.reason !== 'probation');
  if (open.some((finding) => finding.severity === 'B' && finding.verdict === 'FAIL')) return 'REJECTED';
  if (open.some((finding) => finding.severity === 'B')) return 'PENDING';
  return open.some((finding) => finding.severity === 'J') ? 'CONDITIONAL' : 'ADMITTED';
}

/** Findings that nobody could see, grouped by the reason. */
export function notSeen(assessment: Assessment): [string, Finding[]][] {
  const groups = new Map<string, Finding[]>();
  for (const finding of assessment.findings) {
    if (!['NOT_CHECKED', 'ERROR', 'INCONCLUSIVE'].includes(finding.verdict)) continue;
    const reason = finding.reason ?? 'not_asked';
    groups.set(reason, [...(groups.get(reason) ?? []), finding]);
  }
  return [...groups.entries()].sort((a, b) => b[1].length - a[1].length);
}

const VERDICT_ORDER: Verdict[] = ['FAIL', 'ERROR', 'INCONCLUSIVE', 'NOT_CHECKED', 'PASS', 'NOT_APPLICABLE'];

/** Findings by group; within a group the failures first, then by severity. */
export function grouped(findings: Finding[]): [string, Finding[]][] {
  const groups = new Map<string, Finding[]>();
  for (const finding of findings) groups.set(finding.group, [...(groups.get(finding.group) ?? []), finding]);
  for (const list of groups.values()) {
    list.sort((a, b) => VERDICT_ORDER.indexOf(a.verdict) - VERDICT_ORDER.indexOf(b.verdict) || bySeverity(a, b));
  }
  return [...groups.entries()];
}

/** The first things to mend, for the card beside the picture. */
export function firstFixes(assessment: Assessment, limit: number): Finding[] {
  return assessment.findings
    .filter((finding) => !SETTLED.includes(finding.verdict) && !isWaived(finding) && (finding.severity === 'B' || finding.severity === 'J'))
    .sort((a, b) => VERDICT_ORDER.indexOf(a.verdict) - VERDICT_ORDER.indexOf(b.verdict) || bySeverity(a, b))
    .filter((finding, index, all) => all.findIndex((other) => other.text.vi === finding.text.vi) === index)
    .slice(0, limit);
}
