/** Symbol and family of every status word; the same triple everywhere. */
import type { Component } from 'svelte';
import Bell from '@lucide/svelte/icons/bell';
import BadgeCheck from '@lucide/svelte/icons/badge-check';
import CalendarClock from '@lucide/svelte/icons/calendar-clock';
import ArrowLeftRight from '@lucide/svelte/icons/arrow-left-right';
import Check from '@lucide/svelte/icons/check';
import CircleDashed from '@lucide/svelte/icons/circle-dashed';
import CirclePause from '@lucide/svelte/icons/circle-pause';
import CloudOff from '@lucide/svelte/icons/cloud-off';
import EqualNot from '@lucide/svelte/icons/equal-not';
import Eye from '@lucide/svelte/icons/eye';
import EyeOff from '@lucide/svelte/icons/eye-off';
import Equal from '@lucide/svelte/icons/equal';
import Hourglass from '@lucide/svelte/icons/hourglass';
import Lock from '@lucide/svelte/icons/lock';
import Minus from '@lucide/svelte/icons/minus';
import OctagonX from '@lucide/svelte/icons/octagon-x';
import Plus from '@lucide/svelte/icons/plus';
import TriangleAlert from '@lucide/svelte/icons/triangle-alert';
import Unplug from '@lucide/svelte/icons/unplug';
import Video from '@lucide/svelte/icons/video';
import X from '@lucide/svelte/icons/x';
import type { AlertSeverity, Decision, HealthState, Move, PushStateName, Verdict } from './types';

export type Family = 'ok' | 'warn' | 'bad' | 'wait' | 'hold' | 'none';
export interface Mark {
  icon: Component<Record<string, unknown>>;
  family: Family;
}
const mark = (icon: unknown, family: Family): Mark => ({ icon: icon as Mark['icon'], family });

export const HEALTH: Record<HealthState, Mark> = {
  alive: mark(Video, 'none'),
  degraded: mark(TriangleAlert, 'warn'),
  fault: mark(OctagonX, 'bad'),
  unreachable: mark(CloudOff, 'wait'),
  paused: mark(CirclePause, 'hold'),
  not_shared: mark(Lock, 'hold'),
  outside_hours: mark(CalendarClock, 'hold'),
  not_measured: mark(CircleDashed, 'none'),
};
export const DECISION: Record<Decision, Mark> = {
  ADMITTED: mark(BadgeCheck, 'ok'),
  CONDITIONAL: mark(TriangleAlert, 'warn'),
  PENDING: mark(Hourglass, 'wait'),
  REJECTED: mark(OctagonX, 'bad'),
};
export const OUTPUT: Record<'playing' | 'active' | 'expired' | 'revoked', Mark> = {
  playing: mark(Video, 'ok'),
  active: mark(CircleDashed, 'none'),
  expired: mark(CalendarClock, 'hold'),
  revoked: mark(Lock, 'hold'),
};
export const PUSH: Record<PushStateName, Mark> = {
  waiting: mark(Hourglass, 'wait'),
  connecting: mark(CircleDashed, 'none'),
  live: mark(Video, 'ok'),
  silent: mark(TriangleAlert, 'warn'),
  ended: mark(CloudOff, 'bad'),
};
/** A changed camera: quiet unless somebody has to do something. */
export const ALERT: Record<AlertSeverity, Mark> = {
  info: mark(Bell, 'none'),
  warning: mark(TriangleAlert, 'warn'),
  critical: mark(OctagonX, 'bad'),
};
export const VERDICT: Record<Verdict, Mark> = {
  PASS: mark(Check, 'ok'),
  FAIL: mark(X, 'bad'),
  INCONCLUSIVE: mark(EqualNot, 'wait'),
  ERROR: mark(Unplug, 'wait'),
  NOT_CHECKED: mark(CircleDashed, 'none'),
  NOT_APPLICABLE: mark(Minus, 'none'),
};
/** How a rule moved between two assessments. */
export const MOVE: Record<Move | 'same', Mark> = {
  broken: mark(X, 'bad'),
  lost: mark(EyeOff, 'wait'),
  mended: mark(Check, 'ok'),
  seen: mark(Eye, 'ok'),
  other: mark(ArrowLeftRight, 'none'),
  added: mark(Plus, 'none'),
  gone: mark(Minus, 'none'),
  same: mark(Equal, 'none'),
};
/** Whether a standard holds today. */
export const STATE: Record<'draft' | 'in_force' | 'ended', Mark> = {
  draft: mark(CircleDashed, 'hold'),
  in_force: mark(BadgeCheck, 'none'),
  ended: mark(CalendarClock, 'none'),
};
