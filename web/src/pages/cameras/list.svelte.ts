/** The rows of a camera list as they come page by page and change under the reader's eyes. */
import { get } from '../../lib/api';
import type { Camera, Page } from '../../lib/types';
import { FILTERS, type Filters } from './filters';

export const PAGE = 100;
const SHORT = 12; // rows up to which a new camera is shown at once
const MARKED_MS = 2500;
const SLOW_MS = 300;

export class CameraList {
  rows = $state.raw<Camera[]>([]);
  total = $state(0);
  next = $state<string | null>(null);
  loaded = $state(false);
  busy = $state(false);
  /** The answer takes longer than a blink: what is shown is of before. */
  slow = $state(false);
  /** New cameras that are not among the rows yet. */
  waiting = $state(0);
  changed = $state.raw(new Set<string>());
  problem = $state.raw<unknown>(null);
  #running: AbortController | null = null;
  #filters: Filters | null = null;

  async load(filters: Filters, more = false): Promise<void> {
    this.#filters = filters;
    this.#running?.abort();
    const abort = new AbortController();
    this.#running = abort;
    this.busy = true;
    const late = setTimeout(() => (this.slow = true), SLOW_MS);
    try {
      const page = await get<Page<Camera>>('/cameras', { ...filters, limit: PAGE, cursor: more ? this.next : null }, abort.signal);
      this.rows = more ? [...this.rows, ...page.items] : page.items;
      this.next = page.next;
      this.total = page.total;
      this.loaded = true;
      this.problem = null;
      if (!more) {
        this.waiting = 0;
        this.changed = new Set();
      }
    } catch (error) {
      if (abort.signal.aborted) return;
      this.problem = error;
    } finally {
      clearTimeout(late);
      if (this.#running === abort) {
        this.busy = false;
        this.slow = false;
      }
    }
  }

  /** Take in what the hub tells of a camera: in place, never re-sorted under the finger. */
  told(camera: Camera & { removed?: boolean }): void {
    const index = this.rows.findIndex((row) => row.id === camera.id);
    if (camera.removed) {
      if (index < 0) return;
      this.rows = this.rows.filter((row) => row.id !== camera.id);
      this.total = Math.max(0, this.total - 1);
    } else if (index >= 0) {
      this.rows = this.rows.with(index, camera);
      this.changed = new Set(this.changed).add(camera.id);
      setTimeout(() => (this.changed = new Set([...this.changed].filter((id) => id !== camera.id))), MARKED_MS);
    } else if (this.#filters && (this.rows.length === 0 || (this.rows.length < SHORT && FILTERS.every((name) => !this.#filters?.[name])))) {
      void this.load(this.#filters);
    } else this.waiting += 1;
  }
}
