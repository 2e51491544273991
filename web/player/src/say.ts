/** The words of the player. They come from the catalogue of the interface, whoever shows them. */
import type catalogue from '../../../hub/locale/vi/ui.json';
import type { Live } from './live.svelte';
import { HIDDEN, type Phase, type Text } from './states';

export type Key = keyof typeof catalogue;
type Params = Record<string, string | number>;

/** How a page speaks: its language, its figures, its clock. */
export interface Say {
  t: (key: Key, params?: Params) => string;
  /** A key built from a closed set; an unknown one gives the raw word. */
  tk: (prefix: string, value: string, params?: Params) => string;
  pick: (text: Text | string | null | undefined) => string;
  number: (value: number, digits: number) => string;
  clock: (at: Date) => string;
  /** The shortest form of an instant that is still exact beside now. */
  since: (at: Date) => string;
  /** Instants inside a sentence of the hub, as this country reads them. */
  localTimes: (text: string) => string;
}

export type Sign = 'calendar' | 'hourglass' | 'lock' | 'lost' | 'no_video' | 'octagon' | 'pause' | 'play';
export type Offer = 'again' | 'cancel' | 'now' | 'start' | 'stop';

/** What is said over a picture that is not moving. */
export interface Told {
  sign: Sign;
  title: string;
  detail?: string;
  offers: readonly Offer[];
}

const left = (due: number, now: Date): number => Math.max(0, Math.ceil((due - now.getTime()) / 1000));

/** The words of a state; null while a picture moves or nothing was asked for. */
export function told(phase: Phase, purpose: string, say: Say, now: Date): Told | null {
  const { t, tk, pick, clock, localTimes } = say;
  switch (phase.name) {
    case 'asking':
      return { sign: 'hourglass', title: t('player.asking'), offers: ['cancel'] };
    case 'opening':
      return { sign: 'hourglass', title: t('player.opening'), detail: pick(phase.cause), offers: ['cancel'] };
    case 'stopped':
      return { sign: 'no_video', title: t('player.stopped', { at: clock(phase.at) }), detail: pick(phase.cause) || t('player.stopped_detail'), offers: ['again'] };
    case 'reconnecting': {
      const s = left(phase.due, now);
      const detail = s > 0 ? t('player.retry_in', { n: phase.attempt, s }) : t('player.retrying', { n: phase.attempt });
      return { sign: 'lost', title: t('player.lost_at', { at: clock(phase.at) }), detail, offers: ['now', 'stop'] };
    }
    case 'lost':
      return { sign: 'lost', title: t('player.lost_at', { at: clock(phase.at) }), detail: t('player.gave_up'), offers: ['again'] };
    case 'fault': {
      const title = phase.since ? t('player.fault_since', { when: say.since(phase.since) }) : t('player.fault');
      return { sign: 'octagon', title, detail: [pick(phase.cause).replace(/\.$/, ''), t('player.fault_detail')].filter(Boolean).join('. '), offers: ['stop'] };
    }
    case 'paused':
      return { sign: 'pause', title: t('player.paused'), offers: ['start'] };
    case 'refused':
      return { sign: 'lock', title: localTimes(phase.refusal.detail) || tk('viewable', phase.refusal.code), detail: localTimes(phase.refusal.hint), offers: ['start'] };
    case 'full': {
      const detail = t('player.full_detail', { s: left(phase.due, now) });
      return { sign: 'hourglass', title: phase.refusal.detail || t('player.full'), detail, offers: ['now', 'stop'] };
    }
    case 'cannot_play':
      return { sign: 'no_video', title: phase.refusal?.detail || t('player.cannot_play'), detail: phase.refusal?.hint || t('player.cannot_play_detail'), offers: [] };
    case 'blocked':
      return { sign: 'lost', title: t('player.blocked'), detail: t('player.blocked_detail'), offers: ['again'] };
    case 'ended':
      if (phase.code === HIDDEN) return { sign: 'pause', title: t('player.hidden', { at: clock(phase.at) }), offers: ['start'] };
      if (/^(test|limit|time)/.test(phase.code) && purpose === 'test') return { sign: 'hourglass', title: t('player.test_over'), offers: ['start'] };
      return { sign: 'lock', title: pick(phase.cause) || t('player.ended', { at: clock(phase.at) }), offers: ['start'] };
    default:
      return null;
  }
}

/** The state of a picture that moves, or nearly: a word, and how late it is. */
export function moving(live: Live, say: Say): { word: string; tail: string } | null {
  const { t } = say;
  switch (live.phase.name) {
    case 'live': {
      const delay = live.picture.delay;
      if (delay === null) return { word: t('player.live'), tail: t('player.delay_unknown') };
      const s = say.number(Math.max(delay.seconds, 0.1), 1);
      return { word: t('player.live'), tail: delay.about ? t('player.delay_about', { s }) : t('player.delay', { s }) };
    }
    case 'hesitating':
      return { word: t('player.hesitates'), tail: '' };
    case 'repeating':
      return { word: t('player.repeats', { at: say.since(live.phase.since) }), tail: '' };
    default:
      return null;
  }
}

/** How the picture comes, and why not by WebRTC: a line that does not ask to be read. */
export function byWay(live: Live, say: Say): string {
  return live.way.name === 'webrtc' ? say.tk('player', live.path === 'udp' ? 'way_webrtc' : `way_webrtc_${live.path}`) : say.tk('player', `way_mse_${live.way.why}`);
}

/** Which stream is shown and why not the other, as one clause. */
export function byLayer(live: Live, say: Say): string {
  const { t } = say;
  const { size: px } = live.picture;
  const size = px ? `${px.width}×${px.height}` : '';
  const layer = live.layers.played?.layer;
  const name = layer ? t(layer === 'sub' ? 'player.layer_is_sub' : 'player.layer_is_main', { size }).trim() : size;
  const cause = say.pick(live.layers.played?.cause).replace(/\.$/, '');
  return [name, cause].filter(Boolean).join(': ');
}

/** That another stream was asked for and is waited for; empty where none is. */
export function byWaiting(live: Live, say: Say): string {
  const { awaited } = live.layers;
  return awaited ? say.t('player.awaits', { layer: say.tk('player', `layer_${awaited}`).toLocaleLowerCase() }) : '';
}

/** That the hub converts, and why; empty where the picture comes as the camera sends it. */
export function byRendition(live: Live, say: Say): string {
  const { sent } = live.layers;
  if (!sent?.why || sent.rendition !== 'transcode') return '';
  const cause = say.pick(sent.cause).replace(/\.$/, '');
  return cause ? say.t('player.converted_because', { cause }) : say.t('player.converted');
}
