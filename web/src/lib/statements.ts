/** What people state: declarations of facts, and waivers and attestations that two people decide. */
import { date } from './format';
import { pick, t } from './i18n.svelte';
import type { Text } from './types';

export const STATES = ['proposed', 'active', 'expired', 'rejected', 'revoked'] as const;
export type StatementState = (typeof STATES)[number];
export type StatementKind = 'waiver' | 'attestation';

export interface Statement {
  id: string;
  kind: StatementKind;
  rule: string;
  rule_title: Text | null;
  selector: Partial<Record<'camera' | 'area' | 'custodian' | 'model', string>>;
  selector_label: string;
  camera_id: string | null;
  justification?: string;
  authority?: string;
  compensating_control?: string;
  author?: string;
  role?: string;
  explanation?: string;
  attachment_sha256?: string;
  created: string;
  expires: string;
  state: StatementState;
  proposed_by: string | null;
  proposed_at: string;
  mine: boolean;
  decided_by: string | null;
  decided_at: string | null;
  reason: string | null;
  may: { approve: boolean; reject: boolean; revoke: boolean };
  why_not: 'own' | 'right' | 'area' | null;
}
export interface StatementPage {
  items: Statement[];
  next: string | null;
  total: number;
  counts: Record<StatementState, number>;
}

export type Answer = boolean | number | string | string[];
export interface Form {
  fact: string;
  kind: 'bool' | 'int' | 'float' | 'choice' | 'countries' | 'date';
  becomes: string | null;
  unit: string | null;
  min: number | null;
  max: number | null;
  choices: { value: string; text: Text }[];
  who: string[];
  rules: string[];
  valid_days: number;
  longest_days: number;
  title: Text;
  donor: Text;
  help: Text;
}
export interface Declaration {
  id: string;
  fact: string;
  version: number;
  value: Answer;
  author: string;
  role: string;
  declared_at: string;
  valid_until: string;
  attachment_sha256: string | null;
  state: 'active' | 'lapsed' | 'superseded' | 'withdrawn';
}
export interface Paper {
  sha256: string;
  media_type: string;
  name: string;
  size: number;
}

/** The last day that a moment of expiry still covers: 00:00 of a day is the end of the day before. */
export const lastDay = (expires: string): string => date(new Date(new Date(expires).getTime() - 1000));
export const dayOf = (at: string): string => date(new Date(at));
export const daysLeft = (expires: string, now: Date): number => Math.max(0, Math.ceil((new Date(expires).getTime() - now.getTime()) / 86_400_000) - 1);

/** A day as `<input type=date>` takes it, some days from today in Vietnam. */
export function isoDay(now: Date, days = 0): string {
  const [day, month, year] = date(new Date(now.getTime() + days * 86_400_000)).split('/');
  return `${year}-${month}-${day}`;
}

/** An answer in words. */
export function answerText(form: Form, value: Answer): string {
  if (form.kind === 'bool') return value ? t('value.yes') : t('value.no');
  if (form.kind === 'choice') return pick(form.choices.find((one) => one.value === value)?.text) || String(value);
  if (form.kind === 'date') return String(value).split('-').reverse().join('/');
  if (Array.isArray(value)) return value.join(', ');
  return form.unit ? `${value} ${form.unit}` : String(value);
}
