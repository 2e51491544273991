/** The cameras of a live wall: one page of a filtered list at a time, as many as there are tiles. */
import { get } from '../../lib/api';
import type { Camera, Page } from '../../lib/types';
import type { Filters } from '../cameras/filters';

export const GRIDS = [1, 4, 9, 16] as const;
/** On a phone more than two pictures are too small to see anything in. */
export const PHONE_GRIDS = [1, 2] as const;
/** Seconds after which a wall may turn its page by itself; each turn begins new views, which are recorded. */
export const CYCLES = [15, 30, 60] as const;
/** From so many tiles on, people are told how much they miss. */
export const MANY = 16;

/** The number of tiles for a wish: what the address says, else four; two at most on a phone. */
export function gridOf(wish: string | null, phone: boolean): number {
  const grids: readonly number[] = phone ? PHONE_GRIDS : GRIDS;
  const n = Number(wish);
  if (grids.includes(n)) return n;
  return phone ? 2 : 4;
}

export class Wall {
  cameras = $state.raw<Camera[]>([]);
  total = $state(0);
  /** Number of the page that is shown, from 0. */
  page = $state(0);
  /** Is there another page behind this one? */
  more = $state(false);
  loaded = $state(false);
  problem = $state.raw<unknown>(null);
  #cursors: (string | null)[] = [null];
  #running: AbortController | null = null;
  #filters: Filters | null = null;
  #n = 4;

  /** Begin at the first page of a list. */
  open(filters: Filters, n: number): Promise<void> {
    this.#filters = filters;
    this.#n = n;
    this.#cursors = [null];
    return this.turn(0);
  }

  async turn(page: number): Promise<void> {
    if (!this.#filters || page < 0 || page >= this.#cursors.length) return;
    this.#running?.abort();
    const abort = new AbortController();
    this.#running = abort;
    try {
      const told = await get<Page<Camera>>('/cameras', { ...this.#filters, limit: this.#n, cursor: this.#cursors[page] ?? null }, abort.signal);
      this.cameras = told.items;
      this.total = told.total;
      this.page = page;
      this.#cursors = [...this.#cursors.slice(0, page + 1), ...(told.next ? [told.next] : [])];
      this.more = this.#cursors.length > page + 1;
      this.loaded = true;
      this.problem = null;
    } catch (error) {
      if (!abort.signal.aborted) this.problem = error;
    }
  }

  /** Take in what the hub tells of a camera: in its place. */
  told(camera: Camera & { removed?: boolean }): void {
    if (camera.removed) this.cameras = this.cameras.filter((one) => one.id !== camera.id);
    else this.cameras = this.cameras.map((one) => (one.id === camera.id ? { ...one, ...camera } : one));
  }
}
