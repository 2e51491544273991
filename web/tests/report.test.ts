import { describe, expect, it } from 'vitest';
import { decide, firstFixes, grouped, notSeen, standardOf, todo } from '../src/lib/report';
import type { Assessment, Finding, Severity, Verdict } from '../src/lib/types';

const text = (words: string): { vi: string; en: string } => ({ vi: words, en: words });
function finding(rule: string, severity: Severity, verdict: Verdict, more: Partial<Finding> = {}): Finding {
  return {
    rule,
    group: rule.split('-')[0] ?? '',
    title: text(rule),
    severity,
    verdict,
    reason: null,
    text: text(rule),
    observed: null,
    required: null,
    claimed: null,
    unit: null,
    remedy: { owner: text(`mend ${rule}`), installer: text(''), hub: text('') },
    references: [],
    facts: [],
    overlays: [],
    ...more,
  };
}
const assessment = (...findings: Finding[]): Assessment => ({
  standard: 'technical',
  standard_detail: { version: '1', title: text('Technical') },
  decision: decide(findings),
  because: [],
  counts: { PASS: 0, FAIL: 0, INCONCLUSIVE: 0, ERROR: 0, NOT_CHECKED: 0, NOT_APPLICABLE: 0 },
  findings,
  as_of: '2026-11-20T12:40:05Z',
});

describe('the decision', () => {
  it('follows the first line that holds', () => {
    expect(decide([finding('A-1', 'B', 'PASS'), finding('A-2', 'J', 'PASS')])).toBe('ADMITTED');
    expect(decide([finding('A-1', 'B', 'FAIL'), finding('A-2', 'B', 'ERROR')])).toBe('REJECTED');
    expect(decide([finding('A-1', 'B', 'NOT_CHECKED')])).toBe('PENDING');
    expect(decide([finding('A-1', 'J', 'NOT_CHECKED')])).toBe('CONDITIONAL');
    expect(decide([finding('A-1', 'J', 'NOT_CHECKED', { reason: 'probation' })])).toBe('ADMITTED');
    expect(decide([finding('A-1', 'B', 'FAIL', { overlays: ['waived'] })])).toBe('ADMITTED');
  });
  it('tells what mending some findings would earn', () => {
    const blocker = finding('A-1', 'B', 'FAIL');
    const major = finding('A-2', 'J', 'FAIL');
    expect(decide([blocker, major], new Set([blocker]))).toBe('CONDITIONAL');
    expect(decide([blocker, major], new Set([blocker, major]))).toBe('ADMITTED');
  });
});

describe('the report', () => {
  it('asks the first person who has a remedy, the gravest first, and nobody for what was waived', () => {
    const told = assessment(
      finding('VQ-01', 'm', 'FAIL'),
      finding('SEC-01', 'B', 'FAIL'),
      finding('TIM-02', 'J', 'FAIL', { remedy: { owner: text(' '), installer: text('set NTP') } }),
      finding('SEC-03', 'B', 'FAIL', { overlays: [{ kind: 'waived' }] }),
      finding('CON-01', 'B', 'PASS'),
    );
    expect(todo(told).owner.map((one) => one.rule)).toEqual(['SEC-01', 'VQ-01']);
    expect(todo(told).installer.map((one) => one.rule)).toEqual(['TIM-02']);
    expect(firstFixes(told, 3).map((one) => one.rule)).toEqual(['SEC-01', 'TIM-02']);
  });
  it('never counts what was not seen among what passed', () => {
    const told = assessment(finding('A-1', 'm', 'NOT_CHECKED', { reason: 'no_vantage' }), finding('A-2', 'm', 'ERROR', { reason: 'timed_out' }), finding('A-3', 'm', 'PASS'));
    expect(notSeen(told).flatMap(([, findings]) => findings.map((one) => one.rule)).sort()).toEqual(['A-1', 'A-2']);
  });
  it('puts failures first within a group', () => {
    const told = grouped([finding('A-1', 'B', 'PASS'), finding('A-2', 'm', 'FAIL'), finding('A-3', 'B', 'FAIL')]);
    expect(told.map(([group, findings]) => [group, findings.map((one) => one.rule)])).toEqual([['A', ['A-3', 'A-2', 'A-1']]]);
  });
  it('knows its standard in both stored forms', () => {
    expect(standardOf(assessment())).toMatchObject({ id: 'technical', version: '1' });
    expect(standardOf({ ...assessment(), standard: { id: 'base', version: '2' } })).toMatchObject({ id: 'base', version: '2' });
  });
});
