/**
 * Dates and figures as the house writes them: `20/11/2026 19:40:05`, 24 h, Vietnam time; `136.000`, `2,4 Mbit/s`.
 *
 * Not `Intl` styles: their Vietnamese short dates have two-digit years with the time first, and 136,000 is "136 N".
 */
export type Locale = 'vi' | 'en';
const NBSP = '\u00a0';
const ZONE = 'Asia/Ho_Chi_Minh';

const wall = new Intl.DateTimeFormat('en-GB', {
  timeZone: ZONE,
  year: 'numeric',
  month: '2-digit',
  day: '2-digit',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23',
});

export interface Wall {
  year: string;
  month: string;
  day: string;
  hour: string;
  minute: string;
  second: string;
}

/** The wall-clock parts of an instant in Vietnam. */
export function wallClock(at: Date): Wall {
  const parts: Record<string, string> = {};
  for (const part of wall.formatToParts(at)) parts[part.type] = part.value;
  return parts as unknown as Wall;
}

export const date = (at: Date): string => {
  const w = wallClock(at);
  return `${w.day}/${w.month}/${w.year}`;
};
export const clock = (at: Date): string => {
  const w = wallClock(at);
  return `${w.hour}:${w.minute}:${w.second}`;
};
export const dateTime = (at: Date): string => `${date(at)} ${clock(at)}`;
export const dateTimeShort = (at: Date): string => {
  const w = wallClock(at);
  return `${w.day}/${w.month}/${w.year} ${w.hour}:${w.minute}`;
};

/** The shortest form that is still exact beside `now`: `18:02` today, `20/11 18:02` this year, else with the year. */
export function since(at: Date, now: Date): string {
  const w = wallClock(at);
  const n = wallClock(now);
  const hm = `${w.hour}:${w.minute}`;
  if (w.year === n.year && w.month === n.month && w.day === n.day) return hm;
  if (w.year === n.year) return `${w.day}/${w.month} ${hm}`;
  return `${w.day}/${w.month}/${w.year} ${hm}`;
}

/** Seconds from the start of today's Vietnamese day to a given hour of tomorrow, as an instant. */
export function tomorrowAt(hour: number, now: Date): Date {
  const w = wallClock(now);
  const today = Date.UTC(Number(w.year), Number(w.month) - 1, Number(w.day)) - 7 * 3_600_000; // UTC+7, no daylight saving
  const next = new Date(today + hour * 3_600_000);
  return next.getTime() > now.getTime() ? next : new Date(next.getTime() + 86_400_000);
}

export function number(value: number, locale: Locale, digits = 0): string {
  const fixed = Math.abs(value).toFixed(digits);
  const [whole = '0', fraction] = fixed.split('.');
  const grouped = whole.replace(/\B(?=(\d{3})+(?!\d))/g, locale === 'vi' ? '.' : ',');
  const sign = value < 0 && Number(fixed) !== 0 ? '\u2212' : '';
  return sign + grouped + (fraction ? (locale === 'vi' ? ',' : '.') + fraction : '');
}

/** A number as short as it can be said: at most `digits` decimals, none that are zero. */
export function short(value: number, locale: Locale, digits = 2): string {
  const rounded = Number(value.toFixed(digits));
  const decimals = (String(Math.abs(rounded)).split('.')[1] ?? '').length;
  return number(rounded, locale, Math.min(decimals, digits));
}

export function bitrate(kbps: number, locale: Locale): string {
  return kbps >= 1000 ? `${number(kbps / 1000, locale, 1)}${NBSP}Mbit/s` : `${number(kbps, locale)}${NBSP}kbit/s`;
}

const WORDS = {
  vi: { s: ['giây', 'giây'], m: ['phút', 'phút'], h: ['giờ', 'giờ'], d: ['ngày', 'ngày'] },
  en: { s: ['s', 's'], m: ['min', 'min'], h: ['h', 'h'], d: ['day', 'days'] },
} as const;

/** A length of time in at most two units: `6 phút 12 giây`, `2 giờ 13 phút`. */
export function duration(seconds: number, locale: Locale, units = 2): string {
  const whole = Math.max(0, Math.round(seconds));
  const parts: [number, 's' | 'm' | 'h' | 'd'][] = [
    [Math.floor(whole / 86_400), 'd'],
    [Math.floor(whole / 3_600) % 24, 'h'],
    [Math.floor(whole / 60) % 60, 'm'],
    [whole % 60, 's'],
  ];
  const first = parts.findIndex(([n]) => n > 0);
  if (first < 0) return `0${NBSP}${WORDS[locale].s[0]}`;
  return parts
    .slice(first, first + units)
    .filter(([n]) => n > 0)
    .map(([n, unit]) => `${n}${NBSP}${WORDS[locale][unit][n === 1 ? 0 : 1]}`)
    .join(' ');
}

/** Relative time under 24 h, else the date and time. Seconds under 10 s are "now". */
export function ago(at: Date, now: Date, locale: Locale): string {
  const seconds = (now.getTime() - at.getTime()) / 1000;
  if (seconds >= 86_400 || seconds < -60) return dateTimeShort(at);
  if (seconds < 10) return locale === 'vi' ? 'vừa xong' : 'just now';
  const words = duration(seconds, locale, seconds < 3_600 ? 1 : 2);
  return locale === 'vi' ? `${words} trước` : `${words} ago`;
}

/** `rtsp://user:pass@host` taken apart; the address that is kept never holds a credential. */
export function takeApart(input: string): { address: string; username?: string; password?: string } {
  const trimmed = input.trim();
  const match = /^([a-z][a-z0-9+.-]*:\/\/)?([^/?#]*)@(.*)$/i.exec(trimmed);
  if (!match) return { address: trimmed };
  const [, scheme = '', userinfo = '', rest = ''] = match;
  const colon = userinfo.indexOf(':');
  const decode = (text: string): string => {
    try {
      return decodeURIComponent(text);
    } catch {
      return text; // a password with a bare percent sign is what the person typed
    }
  };
  const username = decode(colon < 0 ? userinfo : userinfo.slice(0, colon));
  const password = colon < 0 ? undefined : decode(userinfo.slice(colon + 1));
  return { address: scheme + rest, username, ...(password === undefined ? {} : { password }) };
}

/** What can be said about an address before any packet: `null` where it may be one. */
export function addressFault(address: string): 'empty' | 'short_ipv4' | 'space' | null {
  if (!address) return 'empty';
  const host = address.replace(/^[a-z][a-z0-9+.-]*:\/\//i, '').replace(/[/?#].*$/, '');
  if (/\s/.test(host)) return 'space';
  const bare = host.replace(/:\d+$/, '');
  if (/^\d{1,3}(\.\d{1,3}){0,2}\.?$/.test(bare)) return 'short_ipv4';
  return null;
}
