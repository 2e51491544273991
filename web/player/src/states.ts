/** The states of one viewing, and what is known about what is shown: plain values, named as the pages name them. */
import type { Refusal } from './refusal';

/** A sentence of the hub in both languages. */
export interface Text {
  vi: string;
  en: string;
}

export type Phase =
  | { name: 'idle' }
  | { name: 'asking' }
  | { name: 'opening'; since: number; code: string; cause: Text | null }
  | { name: 'live' }
  | { name: 'hesitating' }
  | { name: 'stopped'; at: Date; code: string; cause: Text | null }
  | { name: 'repeating'; since: Date }
  | { name: 'reconnecting'; at: Date; attempt: number; due: number }
  | { name: 'lost'; at: Date }
  | { name: 'fault'; since: Date | null; cause: Text | null }
  | { name: 'paused' }
  | { name: 'refused'; refusal: Refusal }
  | { name: 'full'; refusal: Refusal; due: number }
  | { name: 'cannot_play'; refusal: Refusal | null }
  | { name: 'blocked' }
  | { name: 'ended'; code: string; cause: Text | null; at: Date };

/** The code of a view that ended because nobody could see it. */
export const HIDDEN = 'tab_hidden';

/** How the picture comes, and why not by WebRTC. */
export type Way = { name: 'webrtc' } | { name: 'mse'; why: 'missing' | 'network' | 'codec' };

/** By what WebRTC came through: `tcp` and `turn` where UDP to the hub did not. */
export type Path = 'udp' | 'tcp' | 'turn';

export type LayerName = 'main' | 'sub';
export type Wanted = LayerName | 'auto';
export const WANTED: readonly Wanted[] = ['auto', 'main', 'sub'];

/** Which of the camera's streams is shown, and why not the one that was wanted. */
export interface Layer {
  layer: LayerName;
  wanted: Wanted;
  code: string;
  cause: Text | null;
}

/** What the hub sends, and why not as the camera does; null where it does not say. */
export interface Sent {
  codec: string | null;
  rendition: string | null;
  why: string;
  /** The same as a sentence of the hub. */
  cause: Text | null;
  /** Seconds from key frame to key frame where the camera puts them far apart, else 0: so long waits who begins. */
  keyFramesS: number;
}

/** What may be heard of a camera: `on`, or a word of the hub for why nothing is. */
export interface Sound {
  code: string;
  cause: Text | null;
}

/** What the event stream of a view says of its state. */
export interface StateEvent {
  state: 'opening' | 'live' | 'frozen' | 'offline' | 'paused' | 'ended';
  since: string | null;
  cause: Text | null;
  code: string | null;
}
