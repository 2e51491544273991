/**
 * The catalogue of interface words: two JSON files, keys typed from the Vietnamese source.
 *
 * A missing key, a placeholder that differs or a plural in Vietnamese breaks the build (`scripts/messages.mjs`).
 */
import type catalogue from '../../../hub/locale/vi/ui.json';
import type { Text } from './types';

export type Key = keyof typeof catalogue;
export type Locale = 'vi' | 'en';
type Entry = string | { one: string; other: string };
type Catalogue = Record<Key, Entry>;

const loaders: Record<Locale, () => Promise<{ default: unknown }>> = {
  vi: () => import('../../../hub/locale/vi/ui.json'),
  en: () => import('../../../hub/locale/en/ui.json'),
};

class Language {
  locale = $state<Locale>('vi');
  #entries = $state.raw<Catalogue | null>(null);

  /** Load a language and make it the one of this device. */
  async use(locale: Locale): Promise<void> {
    this.#entries = (await loaders[locale]()).default as Catalogue;
    this.locale = locale;
    document.documentElement.lang = locale;
    remember(locale);
  }

  /** The words of `key`, with `{name}` replaced from `params`; `params.n` chooses the English plural. */
  text(key: Key, params: Record<string, string | number> = {}): string {
    const entry = this.#entries?.[key];
    if (entry === undefined) return key;
    const words = typeof entry === 'string' ? entry : Number(params['n']) === 1 ? entry.one : entry.other;
    return fill(words, params);
  }

  /** A text that the server gave in both languages. */
  pick(text: Text | string | null | undefined): string {
    if (text === null || text === undefined) return '';
    if (typeof text === 'string') return text;
    return text[this.locale] || text.vi || text.en || '';
  }
}

function fill(words: string, params: Record<string, string | number>): string {
  return words.replace(/\{(\w+)\}/g, (whole, name: string) => String(params[name] ?? whole));
}

function remember(locale: Locale): void {
  try {
    localStorage.setItem('camhub.locale', locale);
  } catch {
    // a browser without storage forgets the choice; nothing else depends on it
  }
}

export function storedLocale(): Locale {
  try {
    return localStorage.getItem('camhub.locale') === 'en' ? 'en' : 'vi';
  } catch {
    return 'vi';
  }
}

export const language = new Language();
export const t = (key: Key, params?: Record<string, string | number>): string => language.text(key, params);
export const pick = (text: Text | string | null | undefined): string => language.pick(text);

/** A key built at run time from a closed set, such as `decision.` + the decision; an unknown one gives the raw word. */
export function tk(prefix: string, value: string, params?: Record<string, string | number>): string {
  const key = `${prefix}.${value}` as Key;
  const words = language.text(key, params);
  return words === key ? value : words;
}
