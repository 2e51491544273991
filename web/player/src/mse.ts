/**
 * Pictures over a WebSocket as fragmented MP4, for browsers or networks that cannot have WebRTC.
 *
 * The hub sends text and binary messages: `{"type":"session","location":...}` once the view is decided, `{"type":"init",
 * "mime":...}` in front of each initialisation segment, then one binary message per segment; `{"type":"refused","status",
 * "retry_after","problem":{...}}` in place of all that. Nothing is sent to the hub: closing the socket ends the view.
 */
import { sources, type Sources } from './decoders';
import { address, type Hub } from './hub';
import { refusal, Refused } from './refusal';

export interface MseOptions {
  hub: Hub;
  /** Path of the WebSocket, with its query. */
  path: string;
  signal: AbortSignal;
  video: HTMLVideoElement;
  /** The hub ended the connection, or it broke, or the decoder gave up (`Refused`). */
  onClosed: (error: Error) => void;
}

export interface MseSession {
  /** There is none: it stands as soon as the hub allowed it. */
  connection: null;
  /** Address of the view. */
  location: string;
  /** Seconds of picture that came and are not shown yet; null before the first. */
  waiting: () => number | null;
  /** Show the newest picture now. */
  toNow: () => void;
  close: () => void;
}

/** The picture may run so far behind the newest one before it is moved up, in seconds. */
const BEHIND_S = 1.5;
const AT_EDGE_S = 0.25;
/** What was shown is kept so long, in seconds: memory stays bounded in a view that runs for hours. */
const KEEP_S = 15;
const PROTOCOL = 'camhub';
/** The hub's close code of a view that it ended, with the reason as its word. */
const ENDED = 4001;
/** Segments that wait for the decoder; more means that it does not keep up. */
const WAITING = 500;

/** The hub ended the view, for a reason of its own. */
export class EndedByHub extends Error {
  readonly code: string;
  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

/** Open a view; resolves once the hub has allowed it. */
export function openMse(options: MseOptions): Promise<MseSession> {
  const known = sources();
  if (!known) return Promise.reject(new Refused(refusal(406, { code: 'mse_missing' })));
  return new Promise((resolve, reject) => {
    const token = options.hub.token();
    const where = address(options.hub, options.path).replace(/^http/, 'ws');
    // a browser sends no header of ours with a WebSocket; a token goes as a second protocol, which the hub never echoes
    const socket = new WebSocket(where, token ? [PROTOCOL, `${PROTOCOL}.bearer.${token}`] : []);
    socket.binaryType = 'arraybuffer';
    const feed = new Feed(known, options.video);
    let opened = false;
    let closed = false;
    const close = (): void => {
      closed = true;
      socket.close();
      feed.close();
    };
    const fail = (error: Error): void => {
      close();
      if (opened) options.onClosed(error);
      else reject(error);
    };
    options.signal.addEventListener('abort', () => {
      if (closed) return;
      close();
      if (!opened) reject(new DOMException('stopped by the viewer', 'AbortError'));
    });
    feed.onFault = (what) => fail(new Refused(refusal(406, { code: 'codec_not_playable', detail: what })));
    socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => {
      if (closed) return;
      if (typeof event.data !== 'string') {
        feed.add(event.data);
        return;
      }
      let said: Record<string, unknown>;
      try {
        said = JSON.parse(event.data) as Record<string, unknown>;
      } catch {
        return; // what cannot be read changes nothing; the frame clock tells a picture that stops
      }
      if (said['type'] === 'session') {
        opened = true;
        resolve({ connection: null, location: address(options.hub, String(said['location'] ?? '')), waiting: () => feed.waiting(), toNow: () => feed.toNow(), close });
      } else if (said['type'] === 'init') feed.begin(String(said['mime'] ?? ''));
      else if (said['type'] === 'refused') {
        const wait = Number(said['retry_after']);
        fail(
          new Refused(
            refusal(Number(said['status']) || 503, (said['problem'] ?? {}) as Record<string, unknown>, wait > 0 ? wait : null),
          ),
        );
      }
    };
    socket.onclose = (event) => {
      if (closed) return;
      fail(event.code === ENDED ? new EndedByHub(event.reason) : new Error('the hub closed the connection'));
    };
  });
}

/** One MediaSource behind one video element; made anew when the stream's format changes to what it cannot change to. */
class Feed {
  onFault: (what: string) => void = () => undefined;
  #known: Sources;
  #video: HTMLVideoElement;
  #source: MediaSource;
  #address: string;
  #buffer: SourceBuffer | null = null;
  #queue: (ArrayBuffer | { mime: string })[] = [];
  #closed = false;

  constructor(known: Sources, video: HTMLVideoElement) {
    this.#known = known;
    this.#video = video;
    this.#source = new known();
    this.#address = URL.createObjectURL(this.#source);
    this.#source.addEventListener('sourceopen', () => this.#work());
    video.disableRemotePlayback = true; // what ManagedMediaSource asks for
    video.srcObject = null;
    video.src = this.#address;
    void video.play().catch(() => {
      // muted inline video may always play; a refusal shows as a picture that does not start
    });
  }

  begin(mime: string): void {
    if (!this.#known.isTypeSupported(mime)) {
      this.onFault(mime);
      return;
    }
    this.#queue.push({ mime });
    this.#work();
  }

  add(segment: ArrayBuffer): void {
    if (this.#queue.length > WAITING) {
      this.onFault('the decoder does not keep up');
      return;
    }
    this.#queue.push(segment);
    this.#work();
  }

  waiting(): number | null {
    const held = this.#buffer?.buffered;
    if (this.#closed || !held || held.length === 0) return null;
    return Math.max(0, held.end(held.length - 1) - this.#video.currentTime);
  }

  /** A browser may have paused what nobody could see. */
  toNow(): void {
    const held = this.#buffer?.buffered;
    if (this.#closed || !held || held.length === 0) return;
    this.#video.currentTime = Math.max(held.start(held.length - 1), held.end(held.length - 1) - AT_EDGE_S);
    void this.#video.play().catch(() => undefined);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#queue = [];
    if (this.#video.src === this.#address) {
      this.#video.removeAttribute('src');
      this.#video.load();
    }
    URL.revokeObjectURL(this.#address);
  }

  #work(): void {
    if (this.#closed || this.#source.readyState !== 'open') return;
    try {
      while (!this.#buffer?.updating) {
        if (this.#trim()) return;
        const next = this.#queue.shift();
        if (next === undefined) break;
        if (next instanceof ArrayBuffer) this.#buffer?.appendBuffer(next);
        else this.#format(next.mime);
      }
      this.#follow();
    } catch (error) {
      this.onFault(error instanceof Error ? error.message : String(error));
    }
  }

  #format(mime: string): void {
    if (this.#buffer) this.#buffer.changeType(mime);
    else {
      this.#buffer = this.#source.addSourceBuffer(mime);
      this.#buffer.addEventListener('updateend', () => this.#work());
      this.#buffer.addEventListener('error', () => this.onFault('the decoder refused a segment'));
    }
  }

  /** Drop what was shown long ago; true while that is being done. */
  #trim(): boolean {
    const buffer = this.#buffer;
    if (!buffer || buffer.buffered.length === 0) return false;
    const begin = buffer.buffered.start(0);
    const end = this.#video.currentTime - KEEP_S;
    if (end - begin < KEEP_S) return false;
    buffer.remove(begin, end);
    return true;
  }

  /** Stay at the newest picture: a live view never runs from old ones. */
  #follow(): void {
    const held = this.#buffer?.buffered;
    if (!held || held.length === 0) return;
    const edge = held.end(held.length - 1);
    const at = this.#video.currentTime;
    if (edge - at > BEHIND_S || at < held.start(held.length - 1)) {
      this.#video.currentTime = Math.max(held.start(held.length - 1), edge - AT_EDGE_S);
    }
  }
}
