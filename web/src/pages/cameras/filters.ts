/** The filters of the camera list, which live in the address. */
import { tk } from '../../lib/i18n.svelte';
import { router } from '../../lib/router.svelte';
import type { Area } from '../../lib/types';

export const FILTERS = ['q', 'decision', 'health', 'sharing', 'area', 'standard', 'failing'] as const;
export type Filter = (typeof FILTERS)[number];
export type Filters = Record<Filter, string>;

export const current = (): Filters => Object.fromEntries(FILTERS.map((name) => [name, router.query.get(name) ?? ''])) as Filters;
export const dropAll = (): void => router.filter(Object.fromEntries(FILTERS.map((name) => [name, null])));

/** A filter's value in words, for the chip that drops it. */
export function filterWord(name: Filter, filters: Filters, areas: Area[]): string {
  const value = filters[name];
  if (name === 'q') return `“${value}”`;
  if (name === 'area') return areas.find((area) => area.code === value)?.name ?? value;
  if (name === 'standard') return value;
  return name === 'failing' ? `${tk('verdict', 'FAIL')} ${value}` : tk(name, value);
}
