/** When the picture moved last, how late it is, and whether it is the same picture over and over. */
export interface FrameTiming {
  /** When it is shown. */
  shown: number;
  captureTime?: number | undefined;
  /** When its last packet came. */
  receiveTime?: number | undefined;
}

/** How late the picture is, in seconds; `about`: without what cannot be measured, the way from the camera to the hub and more. */
export interface Delay {
  seconds: number;
  about: boolean;
}

export const HESITATES_S = 1;
export const STOPPED_S = 3;
export const REPEATS_S = 10;
const RETRY_S = [1, 2, 4, 8, 15];

/** Seconds before try `attempt` (from 0), with a quarter of jitter either way; null when only the viewer may try again. */
export function retryDelay(attempt: number, random: () => number = Math.random): number | null {
  const base = RETRY_S[attempt];
  return base === undefined ? null : base * (0.75 + random() / 2);
}

/**
 * The delay of one frame: from its capture where the browser knows that, else (Chromium, without a round trip by RTCP) from the hub: its
 * time in this browser and half the round trip of the line. Null where neither is known; a value outside 0-60 s is a clock that does
 * not match, not a delay.
 */
export function delayOf({ shown, captureTime, receiveTime }: FrameTiming, roundTripS: number | null): Delay | null {
  const about = captureTime === undefined;
  const from = captureTime ?? (roundTripS === null ? undefined : receiveTime);
  if (from === undefined) return null;
  const seconds = (shown - from) / 1000 + (about ? (roundTripS ?? 0) / 2 : 0);
  return seconds >= 0 && seconds < 60 ? { seconds, about } : null;
}

export type Motion = 'moving' | 'hesitating' | 'stopped';
export function motion(silentS: number): Motion {
  if (silentS > STOPPED_S) return 'stopped';
  return silentS > HESITATES_S ? 'hesitating' : 'moving';
}

/** Compares pictures at a small size; every byte must agree, which a sensor's noise prevents. */
export class Sameness {
  #canvas = document.createElement('canvas');
  #context = this.#canvas.getContext('2d', { willReadFrequently: true });
  #last: Uint8ClampedArray | null = null;
  #since: number | null = null;

  constructor() {
    this.#canvas.width = 320;
    this.#canvas.height = 180;
  }

  /** Look at the current picture; seconds for which it has not changed at all. */
  look(video: HTMLVideoElement, now: number): number {
    if (!this.#context || video.videoWidth === 0) return 0;
    this.#context.drawImage(video, 0, 0, 320, 180);
    const data = this.#context.getImageData(0, 0, 320, 180).data;
    const last = this.#last;
    this.#last = data;
    if (last && equal(last, data)) {
      this.#since ??= now;
      return (now - this.#since) / 1000;
    }
    this.#since = null;
    return 0;
  }

  forget(): void {
    this.#last = null;
    this.#since = null;
  }
}

function equal(a: Uint8ClampedArray, b: Uint8ClampedArray): boolean {
  for (let i = 0; i < a.length; i += 1) if (a[i] !== b[i]) return false;
  return true;
}
