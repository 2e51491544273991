/**
 * The tab's one event stream. HTTP/1.1 gives six connections per origin, so all widgets share it.
 *
 * `EventSource` reconnects by itself after a cut, but gives up after an HTTP error: this opens it again.
 */
import { session } from './session.svelte';
import type { Camera, CameraEvent, Counts, View } from './types';

interface Topics {
  camera: Camera & { removed?: boolean };
  counts: Counts;
  view: View;
  camera_event: CameraEvent;
  alert: { id: string; camera_id: string };
  /** The stream is back after a cut: whatever was shown may be old. */
  resumed: null;
}
type Handler<K extends keyof Topics> = (data: Topics[K]) => void;

class Events {
  #source: EventSource | null = null;
  #handlers = new Map<keyof Topics, Set<(data: never) => void>>();
  #retry: ReturnType<typeof setTimeout> | undefined;
  #attempt = 0;
  #cut = false;
  #cutTimer: ReturnType<typeof setTimeout> | undefined;

  open(): void {
    if (this.#source) return;
    const source = new EventSource('/api/v1/events', { withCredentials: true });
    this.#source = source;
    source.onopen = () => {
      clearTimeout(this.#cutTimer);
      this.#attempt = 0;
      session.reached(true);
      if (this.#cut) {
        this.#cut = false;
        this.#emit('resumed', null);
      }
    };
    source.onerror = () => {
      if (!this.#cut) {
        this.#cut = true;
        // a stream that is back within 3 s is not worth a bar
        this.#cutTimer = setTimeout(() => session.reached(false), 3000);
      }
      if (source.readyState === EventSource.CLOSED) this.#again();
    };
    for (const topic of ['camera', 'counts', 'view', 'camera_event', 'alert'] as const) {
      source.addEventListener(topic, (event) => {
        try {
          this.#emit(topic, JSON.parse((event as MessageEvent<string>).data));
        } catch {
          // one unreadable event must not end the stream; the next page load reads the state anew
        }
      });
    }
  }

  close(): void {
    clearTimeout(this.#retry);
    clearTimeout(this.#cutTimer);
    this.#source?.close();
    this.#source = null;
  }

  /** Listen; returns the function that ends it, so that it can be returned from `$effect`. */
  on<K extends keyof Topics>(topic: K, handler: Handler<K>): () => void {
    const set = this.#handlers.get(topic) ?? new Set();
    set.add(handler as (data: never) => void);
    this.#handlers.set(topic, set);
    return () => set.delete(handler as (data: never) => void);
  }

  #emit<K extends keyof Topics>(topic: K, data: Topics[K]): void {
    for (const handler of this.#handlers.get(topic) ?? []) (handler as Handler<K>)(data);
  }

  #again(): void {
    this.#source?.close();
    this.#source = null;
    const wait = [1, 2, 4, 8, 15][Math.min(this.#attempt++, 4)]! * 1000 * (0.75 + Math.random() / 2);
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => {
      // the sign-in may have ended: /me answers that, and opens the stream only while it holds
      void session.load().then(() => {
        if (session.state === 'in') this.open();
        else if (session.state === 'unreachable') this.#again();
      });
    }, wait);
  }
}

export const events = new Events();
