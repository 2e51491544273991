/**
 * What becomes of views (text/event-stream, HTML standard 9.2), over one connection for all players of a page.
 *
 * A browser opens six connections to a hub over HTTP/1.1; sixteen tiles with a stream each would wait for one another for
 * ever. `EventSource` cannot send a token, `fetch` can.
 */
import { address, API, asking, type Hub } from './hub';

export interface Events {
  close: () => void;
}

export interface Listeners {
  onEvent: (name: string, data: Record<string, unknown>) => void;
  /** Does the hub answer? */
  onHeard: (heard: boolean) => void;
}

const AGAIN_MS = 2000;
/** A connection that nobody needs is kept so long: a player that reconnects finds it. */
const LINGER_MS = 5000;
/** No event of a view is as long as this. */
const LONGEST = 65_536;

const shared = new Map<string, Shared>();

/** Follow one view until closed: its state and layer now, then each change. */
export function follow(hub: Hub, location: string, listeners: Listeners): Events {
  const key = `${address(hub, '/')} ${hub.token() ?? ''}`;
  let stream = shared.get(key);
  if (!stream) {
    stream = new Shared(hub, () => shared.delete(key));
    shared.set(key, stream);
  }
  return stream.join(location, listeners);
}

interface Member {
  location: string;
  listeners: Listeners;
  /** What was told since it was last asked for: of that, an answer that is still on its way is older. */
  told: Set<string>;
}

class Shared {
  #hub: Hub;
  #gone: () => void;
  #members = new Map<string, Member>();
  #abort = new AbortController();
  #heard = false;
  #linger: ReturnType<typeof setTimeout> | undefined;

  constructor(hub: Hub, gone: () => void) {
    this.#hub = hub;
    this.#gone = gone;
    void this.#run();
  }

  join(location: string, listeners: Listeners): Events {
    clearTimeout(this.#linger);
    const id = location.slice(location.lastIndexOf('/') + 1);
    const member: Member = { location, listeners, told: new Set() };
    this.#members.set(id, member);
    if (this.#heard) void this.#ask(member);
    return {
      close: () => {
        if (this.#members.get(id) === member) this.#members.delete(id);
        if (this.#members.size === 0) this.#linger = setTimeout(() => this.#close(), LINGER_MS);
      },
    };
  }

  #close(): void {
    if (this.#members.size > 0) return;
    this.#gone();
    this.#abort.abort();
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    while (!signal.aborted) {
      try {
        const { credentials, headers } = asking(this.#hub, { accept: 'text/event-stream' });
        const response = await fetch(address(this.#hub, `${API}/sessions/events`), { credentials, headers, signal, cache: 'no-store' });
        if (response.ok && response.body) {
          this.#hear(true);
          for (const member of this.#members.values()) void this.#ask(member);
          await read(response.body, (name, data) => this.#event(name, data));
        }
      } catch {
        // the line broke, or was closed by us
      }
      if (signal.aborted) return;
      this.#hear(false);
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }

  #hear(heard: boolean): void {
    this.#heard = heard;
    for (const member of this.#members.values()) member.listeners.onHeard(heard);
  }

  #event(name: string, data: string): void {
    let told: Record<string, unknown>;
    try {
      told = JSON.parse(data) as Record<string, unknown>;
    } catch {
      return; // an unreadable event changes nothing: the frame clock still tells moving from stopped
    }
    const member = this.#members.get(String(told['session'] ?? ''));
    if (!member) return;
    member.told.add(name);
    member.listeners.onEvent(name, told);
  }

  /** Read how a view stands: what was told before this page listened. */
  async #ask(member: Member): Promise<void> {
    member.told.clear();
    try {
      const response = await fetch(member.location, asking(this.#hub));
      if (!response.ok) {
        member.listeners.onHeard(false); // the hub does not know the view: it has begun anew
        return;
      }
      const told = (await response.json()) as Record<string, unknown>;
      member.listeners.onHeard(true);
      for (const name of ['layer', 'state']) if (!member.told.has(name)) member.listeners.onEvent(name, told);
    } catch {
      // asked again when the line stands again
    }
  }
}

async function read(body: ReadableStream<Uint8Array>, onEvent: (name: string, data: string) => void): Promise<void> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const lines = new Lines(onEvent);
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    lines.add(decoder.decode(value, { stream: true }));
  }
}

/** Cuts a stream of text into events. */
export class Lines {
  #onEvent: (name: string, data: string) => void;
  #rest = '';
  #name = '';
  #data: string[] = [];

  constructor(onEvent: (name: string, data: string) => void) {
    this.#onEvent = onEvent;
  }

  add(text: string): void {
    this.#rest += text;
    if (this.#rest.length > LONGEST) throw new Error('an event is too long');
    for (;;) {
      const end = /\r\n|\n|\r(?!$)/.exec(this.#rest);
      if (!end) return;
      this.#line(this.#rest.slice(0, end.index));
      this.#rest = this.#rest.slice(end.index + end[0].length);
    }
  }

  #line(line: string): void {
    if (line === '') {
      if (this.#data.length) this.#onEvent(this.#name || 'message', this.#data.join('\n'));
      this.#name = '';
      this.#data = [];
      return;
    }
    const [, field = '', value = ''] = /^([^:]*):? ?(.*)$/.exec(line) ?? [];
    if (field === 'event') this.#name = value;
    else if (field === 'data') this.#data.push(value);
  }
}
