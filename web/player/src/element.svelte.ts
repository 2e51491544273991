/**
 * `<camhub-player hub="https://hub.example" camera="..." purpose="traffic">`: the picture of one camera on any page.
 *
 * Nothing of the page reaches in, nothing leaks out: styles and words are inside. Live never starts by itself; a person
 * presses the button, or the page calls `start()` after a person did so.
 */
import { mount, unmount } from 'svelte';
import english from 'virtual:camhub-words/en';
import vietnamese from 'virtual:camhub-words/vi';
import { clock, dateTimeShort, number, since } from '../../src/lib/format';
import type { Hub } from './hub';
import { Live } from './live.svelte';
import type { Say } from './say';
import { WANTED, type Wanted } from './states';
import Standing from './Standing.svelte';

/** What `statechange` says: a state as the player means it, and what is known about the picture. */
export interface PlayerState {
  state: Live['phase']['name'];
  /** Is the picture that is shown now of now? */
  live: boolean;
  way: 'webrtc' | 'mse';
  why: string;
  layer: 'main' | 'sub' | null;
  delay: number | null;
  frozenSince: string | null;
  /** `on` where the camera may be heard, else why not; empty while that is not known. */
  sound: string;
  muted: boolean;
}

const CATALOGUES = { vi: vietnamese, en: english } as const;
const ATTRIBUTES = ['hub', 'camera', 'name', 'purpose', 'incident', 'layer', 'lang', 'token'] as const;

export class CamhubPlayer extends HTMLElement {
  static readonly observedAttributes = ATTRIBUTES;
  #given = $state<Partial<Record<(typeof ATTRIBUTES)[number], string>>>({});
  #token: string | null = null;
  #live: Live | null = null;
  #view: Record<string, unknown> | null = null;
  #stop: (() => void) | null = null;

  /** A bearer token; better given here than in an attribute, which every script of the page can read. */
  set token(token: string | null) {
    this.#token = token;
  }

  get state(): PlayerState {
    const live = this.#live;
    const phase = live?.phase ?? { name: 'idle' as const };
    return {
      state: phase.name,
      live: phase.name === 'live',
      way: live?.way.name ?? 'webrtc',
      why: live?.way.name === 'mse' ? live.way.why : '',
      layer: live?.layers.played?.layer ?? null,
      delay: live?.picture.delay?.seconds ?? null,
      frozenSince: phase.name === 'stopped' ? phase.at.toISOString() : null,
      sound: live?.layers.sound?.code ?? '',
      muted: live?.picture.muted ?? true,
    };
  }

  start(): void {
    this.#live?.start(this.#given.purpose ?? 'public_safety', this.#given.incident ?? '');
  }

  stop(): void {
    this.#live?.stop();
  }

  /** Hear the camera, or hear it no more; a browser wants that a person pressed something before. */
  hear(on = true): void {
    this.#live?.hear(on);
  }

  connectedCallback(): void {
    this.#begin();
  }

  disconnectedCallback(): void {
    this.#end();
  }

  attributeChangedCallback(name: string, before: string | null, value: string | null): void {
    if (before === value) return;
    this.#given[name as (typeof ATTRIBUTES)[number]] = value ?? undefined;
    if (!this.isConnected || !this.#live) return;
    if (name === 'layer') this.#live.choose(this.#wanted());
    else if (name === 'hub' || name === 'camera') {
      this.#end(); // another camera is another view
      this.#begin();
    }
  }

  #wanted(): Wanted {
    return WANTED.find((one) => one === this.#given.layer) ?? 'auto';
  }

  #locale(): 'vi' | 'en' {
    const told = (this.#given.lang ?? this.closest('[lang]')?.getAttribute('lang') ?? 'vi').toLowerCase();
    return told.startsWith('vi') ? 'vi' : 'en';
  }

  #begin(): void {
    const camera = this.#given.camera;
    if (!camera || this.#live) return;
    const origin = (this.#given.hub ?? '').replace(/\/+$/, '');
    const hub: Hub = {
      origin,
      token: () => this.#token ?? this.#given.token ?? null,
      csrf: () => /(?:^|; )csrftoken=([^;]*)/.exec(document.cookie)?.[1] ?? '',
      language: () => this.#locale(),
    };
    const live = new Live({ hub, cameraId: camera });
    live.choose(this.#wanted());
    this.#live = live;
    const root = this.shadowRoot ?? this.attachShadow({ mode: 'open' });
    this.#view = mount(Standing, {
      target: root,
      props: { live, say: speak(() => this.#locale()), name: () => this.#given.name ?? camera, start: () => this.start() },
    });
    let last = '';
    this.#stop = $effect.root(() => {
      $effect(() => {
        const { delay, ...rest } = this.state;
        const now = JSON.stringify(rest); // the delay changes with every frame: it is told along, it is no change
        if (now === last) return;
        last = now;
        this.dispatchEvent(new CustomEvent<PlayerState>('statechange', { detail: { ...rest, delay }, bubbles: true, composed: true }));
      });
    });
  }

  #end(): void {
    this.#stop?.();
    this.#stop = null;
    if (this.#view) void unmount(this.#view);
    this.#view = null;
    this.#live = null;
  }
}

type Words = Record<string, string | { one: string; other: string }>;

function speak(locale: () => 'vi' | 'en'): Say {
  const text = (key: string, params: Record<string, string | number> = {}): string => {
    const entry = (CATALOGUES[locale()] as Words)[key];
    if (entry === undefined) return key;
    const words = typeof entry === 'string' ? entry : Number(params['n']) === 1 ? entry.one : entry.other;
    return words.replace(/\{(\w+)\}/g, (whole, name: string) => String(params[name] ?? whole));
  };
  return {
    t: text,
    tk: (prefix, value, params) => {
      const key = `${prefix}.${value}`;
      const words = text(key, params);
      return words === key ? value : words;
    },
    pick: (told) => (!told ? '' : typeof told === 'string' ? told : told[locale()] || told.vi || told.en),
    number: (value, digits) => number(value, locale(), digits),
    clock,
    since: (at) => since(at, new Date()),
    localTimes: (sentence) => sentence.replace(/\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g, (iso) => dateTimeShort(new Date(iso))),
  };
}

if (!customElements.get('camhub-player')) customElements.define('camhub-player', CamhubPlayer);
