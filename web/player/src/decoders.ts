/** What this browser can decode, by either way; `null` where it does not tell. */
export type Codec = 'H264' | 'H265';

export interface Decoders {
  /** Does the browser have WebRTC at all? */
  webrtc: boolean;
  rtc: Record<Codec, boolean | null>;
  /** Does it have Media Source Extensions? */
  mse: boolean;
  source: Record<Codec, boolean>;
  /** Does it play AAC that way? */
  aac: boolean;
}

export interface Sources {
  new (): MediaSource;
  isTypeSupported(type: string): boolean;
}

const TYPE: Record<Codec, string> = {
  H264: 'video/mp4; codecs="avc1.42E01F"',
  H265: 'video/mp4; codecs="hvc1.1.6.L93.B0"',
};

/** Media Source Extensions, or what Safari on phones has in their place. */
export function sources(): Sources | null {
  const managed = (globalThis as { ManagedMediaSource?: Sources }).ManagedMediaSource;
  return managed ?? (typeof MediaSource === 'undefined' ? null : MediaSource);
}

export function decoders(): Decoders {
  const known = sources();
  const offered = received();
  const rtc = (codec: Codec): boolean | null => offered && offered.has(`video/${codec.toLowerCase()}`);
  return {
    webrtc: typeof RTCPeerConnection !== 'undefined',
    rtc: { H264: rtc('H264'), H265: rtc('H265') },
    mse: known !== null,
    source: { H264: known?.isTypeSupported(TYPE.H264) ?? false, H265: known?.isTypeSupported(TYPE.H265) ?? false },
    aac: known?.isTypeSupported('audio/mp4; codecs="mp4a.40.2"') ?? false,
  };
}

function received(): Set<string> | null {
  try {
    const codecs = RTCRtpReceiver.getCapabilities('video')?.codecs;
    return codecs ? new Set(codecs.map((codec) => codec.mimeType.toLowerCase())) : null;
  } catch {
    return null; // a browser that does not tell is asked by trying
  }
}

/** Can it decode this size smoothly (Media Capabilities)? `null` where it does not tell, or does not decode it at all. */
export async function smooth(codec: Codec, width: number, height: number, fps: number): Promise<boolean | null> {
  try {
    const told = await navigator.mediaCapabilities.decodingInfo({
      type: 'media-source',
      video: { contentType: TYPE[codec], width, height, bitrate: width * height * 2, framerate: fps },
    });
    return told.supported ? told.smooth : null;
  } catch {
    return null;
  }
}
