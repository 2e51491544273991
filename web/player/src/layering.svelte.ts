/** Which of a camera's streams one view has: what its viewer chose, what fits the box, what the hub says is played. */
import { asking, type Hub } from './hub';
import { WANTED, type Layer, type LayerName, type Sent, type Sound, type Text, type Wanted } from './states';

export class Layering {
  /** The one that is played; null while nothing is. */
  played = $state.raw<Layer | null>(null);
  sent = $state.raw<Sent | null>(null);
  /** Null while the hub has not said. */
  sound = $state.raw<Sound | null>(null);
  /** The one that was asked for and has not come: it begins with its next key frame. */
  awaited = $state<LayerName | null>(null);
  /** What the viewer asked for; `auto` goes by the size of the picture and by what the network bears. */
  choice = $state<Wanted>('auto');
  #hub: Hub;
  #width: () => number;
  #smallPx: number;
  #asked: Wanted = 'auto';
  #location: string | null = null;

  /** `width` tells how wide the picture is; one narrower than `smallPx` is served by the smaller stream, CSS pixels. */
  constructor(hub: Hub, width: () => number, smallPx: number) {
    this.#hub = hub;
    this.#width = width;
    this.#smallPx = smallPx;
  }

  /** The layer to ask for now: the viewer's, else the smaller one for a small picture, else what the network bears. */
  ask(): Wanted {
    this.#asked = this.#fitting();
    return this.#asked;
  }

  /** A view runs, at this address. */
  begun(location: string): void {
    this.#location = location;
  }

  ended(): void {
    this.#location = null;
    this.played = null;
    this.awaited = null;
    this.sound = null;
  }

  choose(wanted: Wanted): void {
    this.choice = wanted;
    this.fit();
  }

  /** Ask for what fits by now, where that is something else. */
  fit(): void {
    const wanted = this.#fitting();
    if (!this.#location || wanted === this.#asked) return;
    const before = this.#asked;
    this.#asked = wanted;
    void this.#put(this.#location, wanted === 'auto' && before === 'sub' ? ['main', 'auto'] : [wanted]);
  }

  /** Take what the hub tells of a view. */
  told(said: Record<string, unknown>): void {
    const word = (name: string): string | null => (typeof said[name] === 'string' && said[name] ? (said[name] as string) : null);
    this.played = {
      layer: said['layer'] === 'sub' ? 'sub' : 'main',
      wanted: WANTED.find((one) => one === said['wanted']) ?? 'auto',
      code: String(said['layer_code'] ?? ''),
      cause: (said['layer_cause'] ?? null) as Text | null,
    };
    this.sent = { codec: word('codec'), rendition: word('rendition'), why: word('why') ?? '', cause: (said['why_text'] ?? null) as Text | null, keyFramesS: Number(said['key_frames_s']) || 0 };
    this.awaited = null;
    const sound = word('sound');
    this.sound = sound ? { code: sound, cause: (said['sound_text'] ?? null) as Text | null } : null;
  }

  #fitting(): Wanted {
    if (this.choice !== 'auto') return this.choice;
    const width = this.#width();
    return width > 0 && width < this.#smallPx ? 'sub' : 'auto';
  }

  /** `auto` keeps the layer that is played: a picture that has grown is moved up first. */
  async #put(location: string, layers: readonly Wanted[]): Promise<void> {
    for (const layer of layers) {
      if (layer === 'auto' && !(await this.#reached('main'))) return;
      this.awaited = layer === 'auto' || layer === this.played?.layer ? null : layer;
      try {
        const answer = await fetch(`${location}/layer`, {
          method: 'PUT',
          ...asking(this.#hub, { 'content-type': 'application/json' }),
          body: JSON.stringify({ layer }),
        });
        if (!answer.ok) this.awaited = null;
      } catch {
        this.awaited = null;
        return; // the picture goes on as it is; the events tell which layer that is
      }
    }
  }

  /** Wait until a layer is played, for some seconds; false where it does not come or something else is wanted by then. */
  async #reached(layer: LayerName): Promise<boolean> {
    const location = this.#location;
    for (let tries = 0; tries < 40; tries += 1) {
      if (this.#location !== location || this.#asked !== 'auto') return false;
      if (this.played?.layer === layer) return true;
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
    return false;
  }
}
