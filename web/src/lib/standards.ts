/** Standards as the API gives them; how two of them differ; limits as people type them. */
import type { Reference, Severity, Text } from './types';

export interface Parameter {
  value: unknown;
  unit: string;
  floor: unknown;
  stricter: string;
}
export interface Rule {
  id: string;
  rev: number;
  group: string;
  title: Text;
  why: Text;
  severity: Severity;
  observable: string;
  probe: string;
  needs_credential: boolean;
  waivable: boolean;
  over_time: boolean;
  max_age_h: number | null;
  params: Record<string, Parameter>;
  /** What people call its limits, by name. */
  param_titles: Record<string, Text>;
  required_text: Text;
  remediation: Partial<Record<'owner' | 'installer' | 'hub', Text>>;
  references: Reference[];
}
export interface StandardDetail {
  id: string;
  version: string;
  hash: string;
  title: Text;
  summary: Text | null;
  in_force_from: string | null;
  in_force_to?: string | null;
  state: 'draft' | 'in_force' | 'ended';
  chain: string[];
  loosened: { rule: string; parameter: string; floor: unknown; value: unknown; authority: string }[];
  rule_list: Rule[];
}
/** By rule, then by parameter: what a trial changes. */
export type Limits = Record<string, Record<string, unknown>>;

export interface Difference {
  rule: Rule;
  kind: 'added' | 'gone' | 'changed';
  /** Of a changed rule: what differs, each as the left and the right have it. */
  parts: { name: 'severity' | 'rev' | 'required'; left: string | Text; right: string | Text }[];
}

/** What the right standard asks otherwise than the left one, in the reading order of the right; rules that left come last. */
export function differences(left: StandardDetail, right: StandardDetail): Difference[] {
  const before = new Map(left.rule_list.map((rule) => [rule.id, rule]));
  const after = new Set(right.rule_list.map((rule) => rule.id));
  const out: Difference[] = [];
  for (const rule of right.rule_list) {
    const old = before.get(rule.id);
    if (!old) {
      out.push({ rule, kind: 'added', parts: [] });
      continue;
    }
    const parts: Difference['parts'] = [];
    if (old.severity !== rule.severity) parts.push({ name: 'severity', left: old.severity, right: rule.severity });
    if (old.rev !== rule.rev) parts.push({ name: 'rev', left: String(old.rev), right: String(rule.rev) });
    if (old.required_text.vi !== rule.required_text.vi || !sameLimits(old, rule)) parts.push({ name: 'required', left: old.required_text, right: rule.required_text });
    if (parts.length) out.push({ rule, kind: 'changed', parts });
  }
  for (const rule of left.rule_list) if (!after.has(rule.id)) out.push({ rule, kind: 'gone', parts: [] });
  return out;
}

const sameLimits = (a: Rule, b: Rule): boolean => JSON.stringify(Object.entries(a.params).map(([name, one]) => [name, one.value])) === JSON.stringify(Object.entries(b.params).map(([name, one]) => [name, one.value]));

/** A limit in the form in which it is typed: decimal comma, lists with commas between. */
export function typed(value: unknown): string {
  if (Array.isArray(value)) return value.map(String).join('; ');
  return typeof value === 'number' ? String(value).replace('.', ',') : String(value ?? '');
}

/** Read what was typed for a limit, of the kind that it has now; `undefined` where it is not of that kind. */
export function readLimit(text: string, now: unknown): unknown {
  const trimmed = text.trim();
  if (typeof now === 'number') {
    const plain = trimmed.replace(/[\s\u00a0]/g, '').replace(',', '.');
    const value = /^[+-]?(\d+\.?\d*|\.\d+)$/.test(plain) ? Number(plain) : Number.NaN;
    return Number.isFinite(value) ? value : undefined;
  }
  if (typeof now === 'boolean') return trimmed === 'true' ? true : trimmed === 'false' ? false : undefined;
  if (Array.isArray(now)) {
    const parts = trimmed.split(';').map((part) => part.trim()).filter(Boolean);
    const read = parts.map((part) => (now.some((one) => typeof one === 'number') ? readLimit(part, 0) : part));
    return read.length && !read.includes(undefined) ? read : undefined;
  }
  return trimmed || undefined;
}

/** Whether a value is looser than the floor that nobody passes without a named authority. */
export function belowFloor(parameter: Parameter, value: unknown): boolean {
  if (typeof value !== 'number' || typeof parameter.floor !== 'number') return false;
  return parameter.stricter === 'higher' ? value < parameter.floor : parameter.stricter === 'lower' ? value > parameter.floor : false;
}

/** The limits that were typed and differ from those of the standard; `faults` names what cannot be read. */
export function changedLimits(rules: Rule[], texts: Record<string, Record<string, string>>): { set: Limits; faults: string[] } {
  const set: Limits = {};
  const faults: string[] = [];
  for (const rule of rules) {
    for (const [name, text] of Object.entries(texts[rule.id] ?? {})) {
      const now = rule.params[name]?.value;
      if (text === typed(now)) continue;
      const value = readLimit(text, now);
      if (value === undefined) faults.push(`${rule.id}.${name}`);
      else (set[rule.id] ??= {})[name] = value;
    }
  }
  return { set, faults };
}
