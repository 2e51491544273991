/**
 * One viewing of one camera: a state machine over WHEP (or, where that cannot be, MSE), the session's events and the frame clock.
 *
 * Picture rule: moving = bare; stopped = veil and the time of the last frame; forbidden = no picture at all.
 */
import { delayOf, motion, REPEATS_S, retryDelay, Sameness } from './clock';
import { decoders, type Decoders } from './decoders';
import { follow, type Events } from './events';
import { API, asking, type Hub } from './hub';
import { EndedByHub, openMse, type MseSession } from './mse';
import { Refused, type Refusal } from './refusal';
import { open, type WhepSession } from './whep';

/** A sentence of the hub in both languages. */
export interface Text {
  vi: string;
  en: string;
}

export type Phase =
  | { name: 'idle' }
  | { name: 'asking' }
  | { name: 'opening'; since: number }
  | { name: 'live' }
  | { name: 'hesitating' }
  | { name: 'stopped'; at: Date }
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

/** How the picture comes, and why not by WebRTC. */
export type Way = { name: 'webrtc' } | { name: 'mse'; why: 'missing' | 'network' | 'codec' };

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
}

/** How late the picture is, in seconds; `about`: without what cannot be measured, the way from camera to browser. */
export interface Delay {
  seconds: number;
  about: boolean;
}

export interface LiveOptions {
  hub: Hub;
  cameraId: string;
  /** A picture narrower than this is served by the camera's smaller stream, in CSS pixels. */
  smallPx?: number;
}

/** The width of a tile. */
const SMALL_PX = 640;

interface StateEvent {
  state: 'opening' | 'live' | 'frozen' | 'offline' | 'paused' | 'ended';
  since: string | null;
  cause: Text | null;
  code: string | null;
}

const TEST_S = 60;
const HIDDEN_S = 30;
/** A stop that lasts this long with a hub that says "live" is the viewer's own line: connect anew. */
const STALE_S = 8;
const CONNECT_S = 12;
/** So long the hub's sentence for an end is waited for. */
const CAUSE_MS = 1000;
/** Ends that no person decided: the machine between viewer and camera failed, or the camera's entry changed. */
const AGAIN = /^(connection_lost|relay_|hub_stopping|changed|lease_|stalled|offline|unreachable|timed_out|connection_refused|ended_by_camera|camera_error|idle)/;

export class Live {
  phase = $state.raw<Phase>({ name: 'idle' });
  delay = $state.raw<Delay | null>(null);
  lastFrameAt = $state.raw<Date | null>(null);
  frames = $state(0);
  size = $state.raw<{ width: number; height: number } | null>(null);
  /** A kept picture behind the veil; only ever after a fault, never after a pause or a refusal. */
  kept = $state(false);
  testEndsAt = $state<number | null>(null);
  way = $state.raw<Way>({ name: 'webrtc' });
  layer = $state.raw<Layer | null>(null);
  sent = $state.raw<Sent | null>(null);
  /** What the viewer asked for; `auto` goes by the size of the picture and by what the network bears. */
  choice = $state<Wanted>('auto');
  readonly decoders: Decoders = decoders();
  purpose = '';

  #options: LiveOptions;
  #video: HTMLVideoElement | null = null;
  #canvas: HTMLCanvasElement | null = null;
  #session: WhepSession | MseSession | null = null;
  #events: Events | null = null;
  #observer: ResizeObserver | null = null;
  #asked: Wanted = 'auto';
  #hadPicture = false;
  #abort: AbortController | null = null;
  #watch: ReturnType<typeof setInterval> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #hiddenTimer: ReturnType<typeof setTimeout> | undefined;
  #frameAt = 0;
  #everConnected = false;
  #hubSays: StateEvent['state'] | null = null;
  #hubHeard = false;
  #attempt = 0;
  #faultAt = 0;
  #connecting = false;
  #sameness = new Sameness();
  #looked = 0;
  #incident = '';

  constructor(options: LiveOptions) {
    this.#options = options;
    this.way = this.#firstWay();
  }

  /** WebRTC, unless this browser has none or says that it decodes nothing of what could come over it. */
  #firstWay(): Way {
    const { webrtc, rtc, source } = this.decoders;
    if (!webrtc) return { name: 'mse', why: 'missing' };
    if (rtc.H264 === false && rtc.H265 === false && source.H264) return { name: 'mse', why: 'codec' };
    return { name: 'webrtc' };
  }

  attach(video: HTMLVideoElement, canvas: HTMLCanvasElement): () => void {
    this.#video = video;
    this.#canvas = canvas;
    const leave = (): void => this.#disconnect();
    const hidden = (): void => this.#visibility();
    addEventListener('pagehide', leave);
    document.addEventListener('visibilitychange', hidden);
    this.#observer = new ResizeObserver(() => this.#sized());
    this.#observer.observe(video);
    return () => {
      this.#observer?.disconnect();
      removeEventListener('pagehide', leave);
      document.removeEventListener('visibilitychange', hidden);
      this.#disconnect();
      this.#blank();
    };
  }

  /** Is something running that a stop would end? */
  get active(): boolean {
    return !['idle', 'refused', 'cannot_play', 'ended', 'paused', 'blocked', 'lost'].includes(this.phase.name);
  }

  start(purpose: string, incident = ''): void {
    this.purpose = purpose;
    this.#incident = incident;
    this.#attempt = 0;
    this.#hadPicture = false;
    this.sent = null;
    this.#blank();
    void this.#connect();
  }

  /** Have the main stream, the smaller one, or what fits. */
  choose(wanted: Wanted): void {
    this.choice = wanted;
    this.#sized();
  }

  /** Try WebRTC again, where the network had blocked it. */
  tryWebRtc(): void {
    this.way = this.#firstWay();
    this.again();
  }

  /** Try now instead of waiting. */
  again(): void {
    this.#attempt = 0;
    void this.#connect();
  }

  stop(): void {
    this.#disconnect();
    this.#blank();
    this.phase = { name: 'idle' };
  }

  /** The camera or the hub is said to be back: go on where a fault, not a person, ended the picture. */
  nudge(): void {
    if (!['fault', 'lost', 'reconnecting'].includes(this.phase.name)) return;
    if (!this.#connecting && !(this.#session && this.#hubHeard)) this.again();
  }

  async #connect(): Promise<void> {
    this.#disconnect();
    const abort = new AbortController();
    this.#abort = abort;
    this.#connecting = true;
    const resuming = this.kept;
    if (this.phase.name === 'reconnecting') this.phase = { ...this.phase, due: Date.now() };
    else if (!resuming) this.phase = { name: 'asking' };
    this.#asked = this.#fitting();
    const query = new URLSearchParams({ purpose: this.purpose, layer: this.#asked });
    if (this.#incident) query.set('incident', this.#incident);
    const camera = `${API}/cameras/${encodeURIComponent(this.#options.cameraId)}`;
    try {
      const session = this.way.name === 'mse' ? await this.#openMse(`${camera}/mse?${query}`, abort) : await this.#openWhep(`${camera}/whep?${query}`, abort);
      if (abort.signal.aborted) {
        session.close();
        return;
      }
      this.#session = session;
      this.#everConnected = session.connection === null || session.connection.connectionState === 'connected';
      this.#frameAt = performance.now();
      if (!resuming) this.phase = { name: 'opening', since: performance.now() };
      if (this.purpose === 'test') this.testEndsAt = Date.now() + TEST_S * 1000;
      this.#listen(session.location);
      this.#watch = setInterval(() => this.#tick(), 250);
    } catch (error) {
      if (abort.signal.aborted) return;
      if (error instanceof Refused) this.#refused(error.refusal);
      else this.#retry(this.way.name === 'mse' && this.way.why === 'network');
    } finally {
      if (this.#abort === abort || this.#abort === null) this.#connecting = false;
    }
  }

  #openWhep(path: string, abort: AbortController): Promise<WhepSession> {
    return open({
      hub: this.#options.hub,
      path,
      signal: abort.signal,
      onStream: (stream) => this.#show(stream),
      onConnection: (state) => {
        if (this.#abort === abort) this.#connection(state);
      },
    });
  }

  #openMse(path: string, abort: AbortController): Promise<MseSession> {
    const video = this.#video;
    if (!video) return Promise.reject(new Error('there is no video element'));
    this.#countFrames(video);
    return openMse({
      hub: this.#options.hub,
      path: `${path}&lang=${this.#options.hub.language()}${this.decoders.source.H265 ? '&h265=true' : ''}`,
      signal: abort.signal,
      video,
      onClosed: (error) => {
        if (this.#abort !== abort) return;
        if (error instanceof Refused) this.#refused(error.refusal);
        else if (error instanceof EndedByHub) this.#closedByHub(error.code);
        else this.#retry();
      },
    });
  }

  /** The picture goes at once; the event that is on its way has the hub's sentence. */
  #closedByHub(code: string): void {
    if (code === 'paused' || AGAIN.test(code)) {
      this.#state({ state: 'ended', since: null, cause: null, code });
      return;
    }
    this.#blank();
    this.#timer = setTimeout(() => this.#end(code, null), CAUSE_MS);
  }

  /** WebRTC cannot be had: go on by MSE, where this browser has it and it was not that which failed. */
  #fallBack(why: 'network' | 'codec'): boolean {
    if (this.way.name === 'mse' || !(this.decoders.source.H264 || this.decoders.source.H265)) return false;
    this.way = { name: 'mse', why };
    this.#attempt = 0;
    void this.#connect();
    return true;
  }

  /** No picture reaches this browser by either way. */
  #blocked(): void {
    this.#disconnect();
    if (this.#fallBack('network')) return;
    this.#blank();
    this.phase = { name: 'blocked' };
  }

  #refused(refusal: Refusal): void {
    this.#disconnect();
    if (refusal.code === 'codec_not_playable' && this.#fallBack('codec')) return;
    if (refusal.status === 503 && this.#attempt < 5) {
      const wait = Math.min(refusal.retryAfter ?? 30, 120);
      this.#attempt += 1;
      this.phase = { name: 'full', refusal, due: Date.now() + wait * 1000 };
      this.#timer = setTimeout(() => void this.#connect(), wait * 1000);
      return;
    }
    if (refusal.status >= 500) {
      this.#retry();
      return;
    }
    this.#blank();
    if (refusal.status === 406 || refusal.code === 'codec_not_playable') this.phase = { name: 'cannot_play', refusal };
    else if (refusal.code === 'paused') this.phase = { name: 'paused' };
    else this.phase = { name: 'refused', refusal };
  }

  #connection(state: RTCPeerConnectionState): void {
    if (state === 'connected') this.#everConnected = true;
    if (state === 'failed') {
      if (!this.#everConnected) this.#blocked();
      else this.#retry();
    }
  }

  #show(stream: MediaStream): void {
    const video = this.#video;
    if (!video) return;
    video.srcObject = stream;
    void video.play().catch(() => {
      // muted inline video may always play; a refusal shows as a picture that does not start
    });
    this.#countFrames(video);
  }

  #countFrames(video: HTMLVideoElement): void {
    const session = this.#abort;
    const frame: VideoFrameRequestCallback = (now, metadata) => {
      if (this.#abort !== session || !session || session.signal.aborted) return;
      this.#frame(now, metadata);
      video.requestVideoFrameCallback(frame);
    };
    video.requestVideoFrameCallback(frame);
  }

  #frame(now: number, metadata: VideoFrameCallbackMetadata): void {
    // frames that were still on their way when the hub told of the fault are not the camera's return
    if (this.phase.name === 'fault' && performance.now() - this.#faultAt < 1000) return;
    this.#frameAt = performance.now();
    this.frames += 1;
    this.lastFrameAt = new Date();
    this.#hadPicture = true;
    this.#measure(now, metadata);
    if (this.size?.width !== metadata.width || this.size.height !== metadata.height) {
      this.size = { width: metadata.width, height: metadata.height };
    }
    if (this.phase.name !== 'live' && this.phase.name !== 'repeating') {
      this.phase = { name: 'live' };
      this.#sameness.forget();
    }
    this.kept = false;
    this.#attempt = 0;
  }

  /** How late this picture is. MSE has no capture time: what waits to be shown is known, the way to here is not. */
  #measure(now: number, metadata: VideoFrameCallbackMetadata): void {
    const session = this.#session;
    const about = session !== null && session.connection === null;
    const seconds = about
      ? session.waiting()
      : delayOf({ now: metadata.expectedDisplayTime ?? now, ...(metadata.captureTime === undefined ? {} : { captureTime: metadata.captureTime }) });
    if (seconds === null) {
      this.delay = null;
      return;
    }
    // a figure that jumps with every frame cannot be read
    const before = this.delay?.about === about ? this.delay.seconds : seconds;
    this.delay = { seconds: before * 0.9 + seconds * 0.1, about };
  }

  /** The layer to ask for: the viewer's, else the smaller one for a small picture, else what the network bears. */
  #fitting(): Wanted {
    if (this.choice !== 'auto') return this.choice;
    const width = this.#video?.clientWidth ?? 0;
    return width > 0 && width < (this.#options.smallPx ?? SMALL_PX) ? 'sub' : 'auto';
  }

  #sized(): void {
    const wanted = this.#fitting();
    const session = this.#session;
    if (!session || wanted === this.#asked) return;
    const before = this.#asked;
    this.#asked = wanted;
    void this.#put(session.location, wanted === 'auto' && before === 'sub' ? ['main', 'auto'] : [wanted]);
  }

  /** `auto` keeps the layer that is played: a picture that has grown is moved up first. */
  async #put(location: string, layers: readonly Wanted[]): Promise<void> {
    for (const layer of layers) {
      if (layer === 'auto' && !(await this.#reached('main'))) return;
      try {
        await fetch(`${location}/layer`, {
          method: 'PUT',
          ...asking(this.#options.hub, { 'content-type': 'application/json' }),
          body: JSON.stringify({ layer }),
        });
      } catch {
        return; // the picture goes on as it is; the events tell which layer that is
      }
    }
  }

  /** Wait until a layer is played, for some seconds; false where it does not come or something else is wanted by then. */
  async #reached(layer: LayerName): Promise<boolean> {
    const session = this.#session;
    for (let tries = 0; tries < 40; tries += 1) {
      if (this.#session !== session || this.#asked !== 'auto') return false;
      if (this.layer?.layer === layer) return true;
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
    return false;
  }

  #tick(): void {
    if (document.hidden) {
      // a hidden page draws no frames: silence says nothing
      this.#frameAt = performance.now();
      return;
    }
    const now = performance.now();
    const silent = (now - this.#frameAt) / 1000;
    const name = this.phase.name;
    if (name === 'live' || name === 'repeating') {
      const moved = motion(silent);
      if (moved === 'hesitating') this.phase = { name: 'hesitating' };
      else if (moved === 'stopped') this.#stopped();
      else if (now - this.#looked > 1000 && this.#video) {
        this.#looked = now;
        const same = this.#sameness.look(this.#video, now);
        if (same > REPEATS_S && name === 'live') this.phase = { name: 'repeating', since: new Date(Date.now() - same * 1000) };
        else if (same === 0 && name === 'repeating') this.phase = { name: 'live' };
      }
    } else if (name === 'hesitating') {
      if (motion(silent) === 'stopped') this.#stopped();
    } else if (name === 'stopped') {
      // a hub that itself waits for the camera is not asked twice: the same session goes on when frames come
      const waiting = this.#hubSays === 'frozen' || this.#hubSays === 'offline';
      if (!this.#hubHeard || (silent > STALE_S && !waiting)) this.#retry();
    } else if (name === 'reconnecting') {
      if (silent > CONNECT_S && this.#hubSays !== 'offline') this.#retry();
    } else if (name === 'opening' && !this.#everConnected && silent > CONNECT_S) this.#blocked();
    if (this.testEndsAt !== null && Date.now() > this.testEndsAt + 2000) this.#end('test_over', null);
  }

  #stopped(): void {
    this.#keep();
    if (this.#hubSays === 'offline') return;
    this.phase = { name: 'stopped', at: this.lastFrameAt ?? new Date() };
  }

  #retry(fallBackFailed = false): void {
    this.#keep();
    this.#disconnect();
    const at = this.lastFrameAt ?? new Date();
    const wait = retryDelay(this.#attempt);
    if (wait === null || (fallBackFailed && this.#attempt > 0 && !this.#hadPicture)) {
      this.phase = fallBackFailed && !this.#hadPicture ? { name: 'blocked' } : { name: 'lost', at };
      return;
    }
    this.#attempt += 1;
    this.phase = { name: 'reconnecting', at, attempt: this.#attempt, due: Date.now() + wait * 1000 };
    this.#timer = setTimeout(() => void this.#connect(), wait * 1000);
  }

  #listen(location: string): void {
    const hub = this.#options.hub;
    const events = follow(hub, location, {
      onHeard: (heard) => {
        if (this.#events === events) this.#hubHeard = heard;
      },
      onEvent: (name, data) => {
        if (this.#events !== events) return;
        if (name === 'state') this.#state(data as unknown as StateEvent);
        else if (name === 'layer') this.#layered(data);
      },
    });
    this.#events = events;
  }

  #layered(told: Record<string, unknown>): void {
    this.layer = {
      layer: told['layer'] === 'sub' ? 'sub' : 'main',
      wanted: WANTED.find((one) => one === told['wanted']) ?? 'auto',
      code: String(told['layer_code'] ?? ''),
      cause: (told['layer_cause'] ?? null) as Text | null,
    };
    this.#sends(told);
  }

  #sends(told: Record<string, unknown>): void {
    const word = (name: string): string | null => (typeof told[name] === 'string' && told[name] ? (told[name] as string) : null);
    this.sent = { codec: word('codec'), rendition: word('rendition'), why: word('why') ?? '', cause: (told['why_text'] ?? null) as Text | null };
  }

  #state(event: StateEvent): void {
    this.#hubHeard = true;
    this.#hubSays = event.state;
    const since = event.since ? new Date(event.since) : null;
    switch (event.state) {
      case 'offline':
        this.#keep();
        this.#faultAt = performance.now();
        this.phase = { name: 'fault', since, cause: event.cause };
        break;
      case 'frozen':
        if (this.lastFrameAt) {
          this.#keep();
          this.phase = { name: 'stopped', at: this.lastFrameAt };
        }
        break;
      case 'paused':
        this.#disconnect();
        this.#blank();
        this.phase = { name: 'paused' };
        break;
      case 'ended':
        if (event.code === 'paused') {
          this.#disconnect();
          this.#blank();
          this.phase = { name: 'paused' };
        } else if (event.code && AGAIN.test(event.code)) this.#retry();
        else if (event.code === 'network_blocked') this.#blocked();
        else if (event.code === 'codec_not_playable') {
          this.#disconnect();
          if (this.#fallBack('codec')) break;
          this.#blank();
          this.phase = { name: 'cannot_play', refusal: null };
        } else this.#end(event.code ?? 'ended', event.cause);
        break;
      case 'opening':
      case 'live':
        if (this.phase.name === 'fault' || this.phase.name === 'stopped') {
          this.#frameAt = performance.now();
          if (this.phase.name === 'fault' && !this.kept) this.phase = { name: 'opening', since: performance.now() };
        }
    }
  }

  #end(code: string, cause: Text | null): void {
    this.#disconnect();
    this.#blank();
    this.phase = { name: 'ended', code, cause, at: new Date() };
  }

  #visibility(): void {
    clearTimeout(this.#hiddenTimer);
    if (document.hidden && this.active) {
      this.#hiddenTimer = setTimeout(() => this.#end('tab_hidden', null), HIDDEN_S * 1000);
    } else this.#frameAt = performance.now();
  }

  /** Copy the last frame, so that a fault leaves a veiled still and not an empty box. */
  #keep(): void {
    const video = this.#video;
    const canvas = this.#canvas;
    if (this.kept || !video || !canvas || !this.lastFrameAt || video.videoWidth === 0) return;
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext('2d')?.drawImage(video, 0, 0);
    this.kept = true;
  }

  #blank(): void {
    if (this.#video) {
      this.#video.srcObject = null;
      if (this.#video.getAttribute('src')) {
        this.#video.removeAttribute('src');
        this.#video.load();
      }
    }
    const canvas = this.#canvas;
    canvas?.getContext('2d')?.clearRect(0, 0, canvas.width, canvas.height);
    this.kept = false;
    this.lastFrameAt = null;
    this.delay = null;
    this.size = null;
  }

  #disconnect(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#hiddenTimer);
    clearInterval(this.#watch);
    this.#abort?.abort();
    this.#abort = null;
    this.#events?.close();
    this.#events = null;
    this.#session?.close();
    this.#session = null;
    this.#hubHeard = false;
    this.#hubSays = null;
    this.#sameness.forget();
    this.testEndsAt = null;
    this.delay = null;
    this.layer = null;
  }
}
