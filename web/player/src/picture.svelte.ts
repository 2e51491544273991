/** What stands in the picture's box: frames that move, or the last one, kept for the veil; how large it is and how late. */
import { delayOf, Sameness, type Delay } from './clock';

export class Picture {
  delay = $state.raw<Delay | null>(null);
  lastFrameAt = $state.raw<Date | null>(null);
  frames = $state(0);
  size = $state.raw<{ width: number; height: number } | null>(null);
  /** A kept picture behind the veil; only ever after a fault, never after a pause or a refusal. */
  kept = $state(false);
  /** Pictures begin without sound: that alone may always play, and nobody is startled. */
  muted = $state(true);

  #video: HTMLVideoElement | null = null;
  #canvas: HTMLCanvasElement | null = null;
  #sameness = new Sameness();
  #counting = 0;
  #looked = 0;
  #same = 0;

  /** Take the elements to show pictures in; `onSized` hears when the box changes its size. */
  attach(video: HTMLVideoElement, canvas: HTMLCanvasElement, onSized: () => void): () => void {
    this.#video = video;
    this.#canvas = canvas;
    const observer = new ResizeObserver(onSized);
    observer.observe(video);
    return () => observer.disconnect();
  }

  get video(): HTMLVideoElement | null {
    return this.#video;
  }

  /** Width of the box, CSS pixels; 0 where there is none. */
  get width(): number {
    return this.#video?.clientWidth ?? 0;
  }

  show(stream: MediaStream): void {
    const video = this.#video;
    if (!video) return;
    video.srcObject = stream;
    void video.play().catch(() => {
      // muted inline video may always play; with sound the browser may want a press first
      if (this.muted) return;
      this.hear(false);
      void video.play().catch(() => undefined);
    });
  }

  hear(on: boolean): void {
    this.muted = !on;
    if (this.#video) this.#video.muted = !on;
  }

  /** Tell of every frame that is shown, until `uncount` or the next `count`. */
  count(onFrame: VideoFrameRequestCallback): void {
    const video = this.#video;
    if (!video) return;
    this.#counting += 1;
    const number = this.#counting;
    const frame: VideoFrameRequestCallback = (now, metadata) => {
      if (this.#counting !== number) return;
      onFrame(now, metadata);
      video.requestVideoFrameCallback(frame);
    };
    video.requestVideoFrameCallback(frame);
  }

  uncount(): void {
    this.#counting += 1;
    this.#sameness.forget();
    this.#same = 0;
    this.delay = null;
  }

  /** A frame is shown, and so late it is. */
  take(metadata: VideoFrameCallbackMetadata, delay: Delay | null): void {
    this.frames += 1;
    this.lastFrameAt = new Date();
    this.#measured(delay);
    if (this.size?.width !== metadata.width || this.size.height !== metadata.height) {
      this.size = { width: metadata.width, height: metadata.height };
    }
    this.kept = false;
  }

  /** Seconds for which frames have come that are all the same; looked at once a second. */
  sameFor(now: number): number {
    if (this.#video && now - this.#looked > 1000) {
      this.#looked = now;
      this.#same = this.#sameness.look(this.#video, now);
    }
    return this.#same;
  }

  /** What moves now is compared with nothing of before. */
  movedAgain(): void {
    this.#sameness.forget();
    this.#same = 0;
  }

  /** Copy the last frame, so that a fault leaves a veiled still and not an empty box. */
  keep(): void {
    const video = this.#video;
    const canvas = this.#canvas;
    if (this.kept || !video || !canvas || !this.lastFrameAt || video.videoWidth === 0) return;
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext('2d')?.drawImage(video, 0, 0);
    this.kept = true;
  }

  blank(): void {
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

  #measured(delay: Delay | null): void {
    // a figure that jumps with every frame cannot be read
    const before = delay !== null && this.delay?.about === delay.about ? this.delay.seconds : delay?.seconds;
    this.delay = delay === null || before === undefined ? null : { seconds: before * 0.9 + delay.seconds * 0.1, about: delay.about };
  }
}
