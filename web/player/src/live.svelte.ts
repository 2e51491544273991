/**
 * One viewing of one camera: a state machine over WHEP (or, where that cannot be, MSE), the session's events and the frame clock.
 *
 * Picture rule: moving = bare; stopped = veil and the time of the last frame; forbidden = no picture at all.
 */
import { delayOf, motion, REPEATS_S, retryDelay, type Delay } from './clock';
import { decoders, type Decoders } from './decoders';
import { follow, type Events } from './events';
import { API, type Hub } from './hub';
import { Layering } from './layering.svelte';
import { EndedByHub, openMse, type MseSession } from './mse';
import { Picture } from './picture.svelte';
import { Refused, type Refusal } from './refusal';
import { HIDDEN, type Path, type Phase, type StateEvent, type Text, type Wanted, type Way } from './states';
import { lineOf, open, type WhepSession } from './whep';

export interface LiveOptions {
  hub: Hub;
  cameraId: string;
  /** A picture narrower than this is served by the camera's smaller stream, in CSS pixels. */
  smallPx?: number;
  /** Without it sound is asked for once somebody wants to hear: a tile among many. */
  sound?: boolean;
}

/** The width of a tile. */
const SMALL_PX = 640;
const TEST_S = 60;
const HIDDEN_S = 30;
/** Who comes back to a hidden page within this time goes on watching; later it is asked for anew. */
const RESUME_S = 600;
/** A stop that lasts this long with a hub that says "live" is the viewer's own line: connect anew. */
const STALE_S = 8;
const CONNECT_S = 12;
const LINE_EVERY_MS = 5000;
/** So long the hub's sentence for an end is waited for. */
const CAUSE_MS = 1000;
/** Ends that no person decided: the machine between viewer and camera failed, or the camera's entry changed. */
const AGAIN = /^(connection_lost|viewer_gone|send_failed|dtls_failed|relay_|hub_stopping|changed|source_changed|lease_|stalled|offline|unreachable|timed_out|connection_refused|ended_by_camera|camera_error|idle)/;

export class Live {
  phase = $state.raw<Phase>({ name: 'idle' });
  testEndsAt = $state<number | null>(null);
  way = $state.raw<Way>({ name: 'webrtc' });
  /** By what WebRTC came through, once it has. */
  path = $state<Path>('udp');
  readonly picture = new Picture();
  readonly layers: Layering;
  readonly decoders: Decoders = decoders();
  purpose = '';

  #options: LiveOptions;
  #session: WhepSession | MseSession | null = null;
  #events: Events | null = null;
  #hadPicture = false;
  #abort: AbortController | null = null;
  #watch: ReturnType<typeof setInterval> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #hiddenTimer: ReturnType<typeof setTimeout> | undefined;
  #frameAt = 0;
  #lineAt = 0;
  #roundTripS: number | null = null;
  #everConnected = false;
  #hubSays: StateEvent['state'] | null = null;
  /** What the hub said of a picture that stands still; null where it says nothing of the kind. */
  #frozen: StateEvent | null = null;
  #hubHeard = false;
  #attempt = 0;
  #faultAt = 0;
  #connecting = false;
  #incident = '';
  #sounding = false;

  constructor(options: LiveOptions) {
    this.#options = options;
    this.layers = new Layering(options.hub, () => this.picture.width, options.smallPx ?? SMALL_PX);
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
    const detach = this.picture.attach(video, canvas, () => this.layers.fit());
    // a page that is left may come back as it was: nothing of it may pass for live then
    const leave = (): void => this.#rest();
    const hidden = (): void => this.#visibility();
    const online = (): void => this.nudge();
    addEventListener('pagehide', leave);
    addEventListener('online', online);
    document.addEventListener('visibilitychange', hidden);
    return () => {
      detach();
      removeEventListener('pagehide', leave);
      removeEventListener('online', online);
      document.removeEventListener('visibilitychange', hidden);
      this.#disconnect();
      this.picture.blank();
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
    this.layers.sent = null;
    this.picture.blank();
    void this.#connect();
  }

  /** Have the main stream, the smaller one, or what fits. */
  choose(wanted: Wanted): void {
    this.layers.choose(wanted);
  }

  /** Hear the camera, or hear it no more. */
  hear(on: boolean): void {
    this.picture.hear(on);
    if (on && this.#session && !this.#sounding) this.again();
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

  /** Show the newest picture: by MSE what came is there already, over WebRTC the connection is made anew. */
  toNow(): void {
    if (this.#session?.connection === null) this.#session.toNow();
    else this.again();
  }

  stop(): void {
    this.#disconnect();
    this.picture.blank();
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
    this.#sounding = this.#options.sound !== false || !this.picture.muted;
    const resuming = this.picture.kept;
    if (this.phase.name === 'reconnecting') this.phase = { ...this.phase, due: Date.now() };
    else if (!resuming) this.phase = { name: 'asking' };
    const query = new URLSearchParams({ purpose: this.purpose, layer: this.layers.ask() });
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
      if (!resuming) this.phase = { name: 'opening', since: performance.now(), code: '', cause: null };
      if (this.purpose === 'test') this.testEndsAt = Date.now() + TEST_S * 1000;
      this.layers.begun(session.location);
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
      sound: this.#sounding,
      signal: abort.signal,
      onStream: (stream) => {
        this.picture.show(stream);
        this.#countFrames();
      },
      onConnection: (state) => {
        if (this.#abort === abort) this.#connection(state);
      },
    });
  }

  #openMse(path: string, abort: AbortController): Promise<MseSession> {
    const { video } = this.picture;
    if (!video) return Promise.reject(new Error('there is no video element'));
    this.#countFrames();
    return openMse({
      hub: this.#options.hub,
      path: `${path}&lang=${this.#options.hub.language()}${this.decoders.source.H265 ? '&h265=true' : ''}${this.#sounding && this.decoders.aac ? '&aac=true' : ''}`,
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
    this.picture.blank();
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
    this.picture.blank();
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
    this.picture.blank();
    if (refusal.status === 406 || refusal.code === 'codec_not_playable') this.phase = { name: 'cannot_play', refusal };
    else if (refusal.code === 'paused') this.phase = { name: 'paused' };
    else this.phase = { name: 'refused', refusal };
  }

  #connection(state: RTCPeerConnectionState): void {
    if (state === 'connected') {
      this.#everConnected = true;
      this.#lookAtLine();
    }
    if (state === 'failed') {
      if (!this.#everConnected) this.#blocked();
      else this.#retry();
    }
  }

  /** By what WebRTC came through, and how long the line is; asked for now and then, as it may change. */
  #lookAtLine(): void {
    const session = this.#session;
    if (!session?.connection) return;
    this.#lineAt = performance.now();
    lineOf(session.connection).then(
      (line) => {
        if (line === null || this.#session !== session) return;
        this.path = line.path;
        this.#roundTripS = line.roundTripS;
      },
      () => undefined, // a connection that closes meanwhile has no line
    );
  }

  #delayOf(now: number, metadata: VideoFrameCallbackMetadata): Delay | null {
    const session = this.#session;
    if (session === null || session.connection !== null) {
      const { captureTime, receiveTime, expectedDisplayTime } = metadata;
      return delayOf({ shown: expectedDisplayTime ?? now, captureTime, receiveTime }, this.#roundTripS);
    }
    // MSE knows no time of a frame: what waits to be shown is known, the way to here is not
    const seconds = session.waiting();
    return seconds === null ? null : { seconds, about: true };
  }

  #countFrames(): void {
    this.picture.count((now, metadata) => this.#frame(now, metadata));
  }

  #frame(now: number, metadata: VideoFrameCallbackMetadata): void {
    // frames that were still on their way when the hub told of the fault are not the camera's return
    if (this.phase.name === 'fault' && performance.now() - this.#faultAt < 1000) return;
    const session = this.#session;
    this.#frameAt = performance.now();
    this.#hadPicture = true;
    this.picture.take(metadata, this.#delayOf(now, metadata));
    if (this.phase.name !== 'live' && this.phase.name !== 'repeating') {
      this.phase = { name: 'live' };
      this.picture.movedAgain();
    }
    this.#attempt = 0;
  }

  #tick(): void {
    if (document.hidden) {
      // a hidden page draws no frames: silence says nothing
      this.#frameAt = performance.now();
      return;
    }
    const now = performance.now();
    if (now - this.#lineAt > LINE_EVERY_MS) this.#lookAtLine();
    const silent = (now - this.#frameAt) / 1000;
    const name = this.phase.name;
    if (name === 'live' || name === 'repeating') {
      const moved = motion(silent);
      if (moved === 'hesitating') this.phase = { name: 'hesitating' };
      else if (moved === 'stopped') this.#stopped();
      else {
        const same = this.picture.sameFor(now);
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
    this.picture.keep();
    if (this.#hubSays === 'offline') return;
    this.phase = this.#stands(this.picture.lastFrameAt ?? new Date());
  }

  #stands(at: Date): Phase {
    return { name: 'stopped', at, code: this.#frozen?.code ?? '', cause: this.#frozen?.cause ?? null };
  }

  #retry(fallBackFailed = false): void {
    this.picture.keep();
    this.#disconnect();
    const at = this.picture.lastFrameAt ?? new Date();
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
        else if (name === 'layer') this.layers.told(data);
      },
    });
    this.#events = events;
  }

  #state(event: StateEvent): void {
    this.#hubHeard = true;
    this.#hubSays = event.state;
    this.#frozen = event.state === 'frozen' ? event : null;
    const since = event.since ? new Date(event.since) : null;
    switch (event.state) {
      case 'offline':
        this.picture.keep();
        this.#faultAt = performance.now();
        this.phase = { name: 'fault', since, cause: event.cause };
        break;
      case 'frozen':
        if (this.picture.lastFrameAt) {
          this.picture.keep();
          this.phase = this.#stands(this.picture.lastFrameAt);
        }
        break;
      case 'paused':
        this.#disconnect();
        this.picture.blank();
        this.phase = { name: 'paused' };
        break;
      case 'ended':
        if (event.code === 'paused') {
          this.#disconnect();
          this.picture.blank();
          this.phase = { name: 'paused' };
        } else if (event.code && AGAIN.test(event.code)) this.#retry();
        else if (event.code === 'network_blocked' || event.code === 'not_connected') this.#blocked();
        else if (event.code === 'codec_not_playable') {
          this.#disconnect();
          if (this.#fallBack('codec')) break;
          this.picture.blank();
          this.phase = { name: 'cannot_play', refusal: null };
        } else this.#end(event.code ?? 'ended', event.cause);
        break;
      case 'opening':
      case 'live':
        if (this.phase.name === 'opening') this.phase = { ...this.phase, code: event.code ?? '', cause: event.cause };
        if (this.phase.name === 'fault' || this.phase.name === 'stopped') {
          this.#frameAt = performance.now();
          if (this.phase.name === 'fault' && !this.picture.kept) this.phase = { name: 'opening', since: performance.now(), code: '', cause: null };
        }
    }
  }

  #end(code: string, cause: Text | null): void {
    this.#disconnect();
    this.picture.blank();
    this.phase = { name: 'ended', code, cause, at: new Date() };
  }

  #visibility(): void {
    clearTimeout(this.#hiddenTimer);
    if (document.hidden) {
      if (this.active) this.#hiddenTimer = setTimeout(() => this.#rest(), HIDDEN_S * 1000);
      return;
    }
    this.#frameAt = performance.now();
    if (this.phase.name === 'ended' && this.phase.code === HIDDEN) {
      if (this.purpose !== 'test' && Date.now() - this.phase.at.getTime() < RESUME_S * 1000) this.again();
    } else if (this.#session?.connection === null) this.#session.toNow();
  }

  /** Nobody looks: end the view, and say so. */
  #rest(): void {
    if (this.active) this.#end(HIDDEN, null);
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
    this.#roundTripS = null;
    this.picture.uncount();
    this.layers.ended();
    this.testEndsAt = null;
  }
}
