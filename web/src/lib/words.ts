/** Sentences made from values: health, sharing, schedules, problems, views. */
import { Problem } from './api';
import { ago, dateTimeShort, duration, since, type Locale } from './format';
import { language, pick, t, tk } from './i18n.svelte';
import type { Camera, Health, ProblemBody, ScheduleEntry, Sharing, View } from './types';

const at = (value: string | null): Date | null => {
  if (!value) return null;
  const parsed = new Date(value);
  return Number.isNaN(parsed.getTime()) ? null : parsed;
};
export const locale = (): Locale => language.locale;
export const time = at;

/** The state in words; `since` is part of it where somebody may have to act. */
export function healthText(health: Health, now: Date): string {
  const from = at(health.since);
  const when = from ? since(from, now) : null;
  const cause = pick(health.cause);
  switch (health.state) {
    case 'fault':
      return when ? t('health.fault_since', { when }) : t('health.fault');
    case 'unreachable':
      return when ? t('health.unreachable_since', { when }) : t('health.unreachable');
    case 'degraded':
      return cause ? t('health.degraded_cause', { cause }) : t('health.degraded');
    default:
      return tk('health', health.state);
  }
}

export function measuredText(health: Health, now: Date): string {
  const measured = at(health.measured_at);
  return measured ? t('health.measured', { ago: ago(measured, now, locale()) }) : t('health.never_measured');
}

export function scheduleText(schedule: ScheduleEntry[] | null): string {
  if (!schedule?.length) return '';
  return schedule
    .map((entry) => {
      const days = [...entry.days].sort((a, b) => a - b);
      const all = days.length === 7;
      const names = all ? t('days.all') : days.map((day) => tk('day', String(day))).join(', ');
      return t('schedule.entry', { from: entry.from, to: entry.to, days: names });
    })
    .join('; ');
}

export function sharingText(sharing: Sharing): string {
  const words = tk('sharing', sharing.mode);
  const hours = sharing.mode === 'scheduled' ? scheduleText(sharing.schedule) : '';
  return hours ? `${words}: ${hours}` : words;
}

/** Until when a pause holds, in words. */
export function pauseText(sharing: Sharing): string {
  const until = at(sharing.paused_until);
  return until ? t('pause.until_time', { when: dateTimeShort(until) }) : t('pause.until_resumed');
}

export function viewText(view: View): string {
  const who = [view.by.office ?? tk('role', view.by.role), view.by.number ? t('view.number', { number: String(view.by.number).replaceAll('-', '\u2060-\u2060') }) : '']
    .filter(Boolean)
    .join(', ');
  const person = view.by.name ? `${who} (${view.by.name})` : who;
  return view.by.recipient ? t('view.recipient', { recipient: view.by.recipient, person }) : person;
}
export function viewGround(view: View): string {
  const purpose = tk('purpose', view.purpose);
  if (view.incident && view.purpose === 'incident') return t('view.incident', { incident: view.incident });
  return view.incident ? t('view.with_incident', { purpose, incident: view.incident }) : purpose;
}
export function viewLength(view: View, now: Date): string {
  if (view.kind === 'snapshot') return t('view.one_still');
  const begun = at(view.started_at);
  const seconds = view.ended_at === null && begun ? (now.getTime() - begun.getTime()) / 1000 : (view.seconds ?? 0);
  const words = t(view.kind === 'test' ? 'view.test_for' : view.kind === 'output' ? 'view.taken_for' : 'view.live_for', { length: duration(seconds, locale()) });
  return view.stills > 0 ? `${words}, ${t('view.stills', { n: view.stills })}` : words;
}

export interface Told {
  title: string;
  hint: string;
  technical: string;
}

/** What went wrong, what it means, what to do. Known codes have words of their own; the server's words fill the rest. */
export function tell(problem: unknown): Told {
  if (!(problem instanceof Problem)) {
    return { title: t('problem.page'), hint: t('problem.page_hint'), technical: String(problem) };
  }
  return tellBody(problem.body);
}

/** Instants inside a sentence of the server (RFC 3339, UTC) as this country reads them. */
export const localTimes = (text: string): string =>
  text.replace(/\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g, (iso) => dateTimeShort(new Date(iso)));

export function tellBody(body: ProblemBody): Told {
  const code = body.code ?? '';
  const detail = localTimes(pick(body.detail));
  const hint = localTimes(pick(body.hint));
  const technical = [body.status ? `HTTP ${body.status}` : '', code, body.type ?? ''].filter(Boolean).join(' · ');
  if (code === 'network') return { title: t('problem.network'), hint: t('problem.network_hint'), technical };
  if (code === 'server_fault' || (body.status ?? 0) >= 500) {
    return { title: detail || t('problem.server'), hint: hint || t('problem.server_hint'), technical };
  }
  if (body.status === 403 && !detail) return { title: t('problem.no_right'), hint: t('problem.no_right_hint'), technical };
  if (body.status === 404 && !detail) return { title: t('problem.not_found'), hint: t('problem.not_found_hint'), technical };
  return { title: detail || pick(body.title) || t('problem.other', { code: code || body.status || '' }), hint, technical };
}

/** One sentence on top of a camera's page. */
export function cameraSentence(camera: Camera, now: Date): string {
  const parts = [tk('decision', camera.decision), healthText(camera.health, now)];
  const measured = at(camera.health.measured_at);
  const tail = measured ? `, ${t('health.measured_mid', { ago: ago(measured, now, locale()) })}` : '';
  return `${parts.join('. ')}${tail}.`;
}

/** Any fact or limit as a person reads it. */
export function valueText(value: unknown, unit: string | null | undefined, depth = 0): string {
  if (value === null || value === undefined || value === '') return '';
  const tail = unit ? `\u00a0${unit}` : '';
  if (typeof value === 'boolean') return value ? t('value.yes') : t('value.no');
  if (typeof value === 'number') return shortNumber(value) + tail;
  if (typeof value === 'string') return value + (tail && /^[\d.,<>= ]+$/.test(value) ? tail : '');
  if (Array.isArray(value)) return value.map((item) => valueText(item, null, depth + 1)).join(', ');
  if (typeof value === 'object') {
    const record = value as Record<string, unknown>;
    if (typeof record['vi'] === 'string' && typeof record['en'] === 'string') return pick(record as unknown as { vi: string; en: string });
    const entries = Object.entries(record).filter(([, v]) => v !== null && v !== '');
    if (depth > 1) return '…';
    return entries.map(([key, v]) => `${key}\u00a0${valueText(v, null, depth + 1)}`).join(' · ') + (entries.length ? tail : '');
  }
  return String(value);
}

function shortNumber(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  const rounded = Number(value.toFixed(digits));
  const [whole = '0', fraction] = String(Math.abs(rounded)).split('.');
  const vi = language.locale === 'vi';
  const grouped = whole.length > 4 || vi ? whole.replace(/\B(?=(\d{3})+(?!\d))/g, vi ? '.' : ',') : whole;
  return (rounded < 0 ? '\u2212' : '') + grouped + (fraction ? (vi ? ',' : '.') + fraction : '');
}

/** The name of a fact in words; facts of a stream stand under its heading. An unknown fact keeps the server's words. */
export function factText(name: string, meaning: string): string {
  const stream = /^stream\.(main|sub)\.(.+)$/.exec(name);
  const key = stream ? `stream.${stream[2]}` : name;
  const words = tk('fact', key);
  return words === key ? meaning : words;
}

const WORDS_OF_VALUES = new Set(['refused', 'answered', 'none', 'active', 'missing', 'withdrawn', 'expired', 'not_needed', 'authority', 'household', 'shop', 'school', 'copy', 'transcode', 'no', 'sdp', 'in_band', 'both', 'same', 'rewritten']);
const UNITS: Record<string, string> = { '1/s': 'fps', d: 'days', frames: 'frames', s: 's', min: 'min' };

/** The value of a fact: closed words and units in the language of the page, everything else as the camera said it. */
export function factValue(value: unknown, unit: string | null): string {
  if (Array.isArray(value) && value.length === 0) return tk('word', 'none');
  if (typeof value === 'string' && WORDS_OF_VALUES.has(value)) return tk('word', value);
  return valueText(value, unit && UNITS[unit] ? tk('unit', UNITS[unit]) : unit);
}

/** A day as texts of law name it, `2026-07-01`, in the form of the house. */
export const dayText = (iso: string): string => iso.slice(0, 10).split('-').reverse().join('/');
