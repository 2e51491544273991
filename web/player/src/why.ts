/**
 * "Why can I not see it?": what the browser decodes beside what the camera sends, as cause, what was done, what would help.
 *
 * Pure: words are keys of the catalogue (`player.why_...`), so that every case can be tested without a browser.
 */
import type { Decoders } from './decoders';
import type { Path, Phase, Sent, Way } from './states';

/** What the last assessment saw of the camera's main stream. */
export interface Sends {
  codec: string | null;
  relay: string | null;
}

export interface Case {
  phase: Phase;
  way: Way;
  /** By what WebRTC came through. */
  path?: Path;
  sent: Sent | null;
  sends: Sends | null;
  decoders: Decoders;
  layer: { layer: string; wanted: string; code: string } | null;
}

export interface Explained {
  cause: string;
  /** What the hub or this page did about it. */
  done: string | null;
  /** What a person can change so that it costs nothing. */
  remedy: string | null;
  /** The criterion that asks for it: its page of a camera's report says where that maker keeps the setting. */
  rule?: string;
  /** Figures for the words. */
  params?: Record<string, number>;
}

/** Words of the hub for "could not go out as it is"; others are said as `codec`. */
const RECODED = new Set(['h265', 'mjpeg', 'mpeg4', 'b_frames', 'format', 'mask', 'codec']);

/** The criteria that ask for the settings named by `recoded_..._fix`. */
const RULES: Readonly<Record<string, string>> = { h265: 'STR-06', mjpeg: 'STR-06', mpeg4: 'STR-06', format: 'STR-06', codec: 'STR-06', b_frames: 'STR-07' };
const KEY_FRAMES = 'STR-08';
const SUB_STREAM = 'STR-09';

/** What has no room, by the hub's word for it. */
const FULL: Readonly<Record<string, string>> = { uplink_full: 'full_uplink', transcodes_full: 'full_recode' };

/** Everything that stands between camera and eye now; the gravest first, empty where nothing does. */
export function explain(seen: Case): Explained[] {
  const found: Explained[] = [];
  const { phase, way, decoders } = seen;
  switch (phase.name) {
    case 'paused':
      return [{ cause: 'paused', done: null, remedy: null }];
    case 'refused':
      return [{ cause: 'refused', done: null, remedy: 'refused_fix' }];
    case 'full': {
      const cause = FULL[phase.refusal.code] ?? 'full';
      return [{ cause, done: 'full_done', remedy: `${cause}_fix` }];
    }
    case 'fault':
      return [{ cause: 'fault', done: 'fault_done', remedy: 'fault_fix' }];
    case 'reconnecting':
    case 'lost':
      found.push({ cause: 'lost', done: phase.name === 'lost' ? 'lost_tried' : 'lost_done', remedy: 'lost_fix' });
      break;
    case 'stopped':
      if (phase.code === 'damaged') {
        found.push({ cause: 'damaged', done: 'damaged_done', remedy: 'damaged_fix', rule: KEY_FRAMES });
        break;
      }
      if (phase.code) {
        found.push({ cause: 'silent', done: 'silent_done', remedy: 'fault_fix' });
        break;
      }
      found.push({ cause: 'stopped', done: 'stopped_done', remedy: 'stopped_fix' });
      break;
    case 'hesitating':
      found.push({ cause: 'stopped', done: 'stopped_done', remedy: 'stopped_fix' });
      break;
    case 'repeating':
      found.push({ cause: 'repeats', done: null, remedy: 'repeats_fix' });
      break;
    case 'blocked':
      return [{ cause: decoders.mse ? 'blocked_all' : 'blocked_no_mse', done: decoders.mse ? 'blocked_tried' : null, remedy: 'blocked_fix' }];
    case 'cannot_play':
      return [undecoded(seen)];
    case 'ended':
      return [{ cause: 'ended', done: null, remedy: null }];
  }
  if (way.name === 'mse') {
    if (way.why === 'network') found.push({ cause: 'blocked', done: 'mse', remedy: 'blocked_fix' });
    else if (way.why === 'missing') found.push({ cause: 'no_webrtc', done: 'mse', remedy: 'no_webrtc_fix' });
    else found.push({ cause: 'no_codec', done: 'mse', remedy: 'no_codec_fix' });
  } else if (seen.path === 'tcp' || seen.path === 'turn') found.push({ cause: 'udp_blocked', done: `over_${seen.path}`, remedy: 'udp_blocked_fix' });
  const why = seen.sent?.why ?? '';
  if (why) {
    const word = RECODED.has(why) ? why : 'codec';
    found.push({ cause: `recoded_${word}`, done: seen.sent?.rendition === 'transcode' ? 'recoded' : 'other_layer', remedy: `recoded_${word}_fix`, ...ruled(RULES[word]) });
  }
  if (seen.layer?.code === 'network') found.push({ cause: 'weak', done: 'weak_done', remedy: 'weak_fix' });
  else if (seen.layer?.code === 'no_sub_stream') found.push({ cause: 'no_sub', done: 'no_sub_done', remedy: 'no_sub_fix', rule: SUB_STREAM });
  else if (seen.layer?.code === 'codec_not_playable' && !why) found.push({ ...undecoded(seen), done: 'other_layer' });
  else if (seen.layer?.code === 'uplink') found.push({ cause: 'uplink', done: 'uplink_done', remedy: 'uplink_fix' });
  else if (seen.layer?.code === 'transcodes_full') found.push({ cause: 'full_recode', done: 'one_stream_done', remedy: 'full_recode_fix' });
  else if (seen.layer?.code === 'one_stream') found.push({ cause: 'one_stream', done: 'one_stream_done', remedy: 'one_stream_fix' });
  if (phase.name === 'opening' && phase.code === 'no_key_frame') found.push({ cause: 'no_key_frame', done: 'no_key_frame_done', remedy: 'key_frames_fix', rule: KEY_FRAMES });
  else if (seen.sent?.keyFramesS) found.push({ cause: 'key_frames', done: 'key_frames_done', remedy: 'key_frames_fix', rule: KEY_FRAMES, params: { s: seen.sent.keyFramesS } });
  if (found.length === 0 && ['idle', 'asking', 'opening'].includes(phase.name) && seen.sends && decodes(seen) === false) found.push(undecoded(seen));
  if (found.length === 0 && ['asking', 'opening'].includes(phase.name)) found.push({ cause: 'unknown_cause', done: 'unknown_done', remedy: null });
  return found;
}

/** Does this browser decode what the camera itself sends, by any way? `null` where that is not known. */
export function decodes(seen: Pick<Case, 'sends' | 'decoders'>): boolean | null {
  const codec = seen.sends?.codec;
  if (codec !== 'H264' && codec !== 'H265') return codec ? false : null;
  const { rtc, source, webrtc } = seen.decoders;
  if ((webrtc && rtc[codec]) || source[codec]) return true;
  return webrtc && rtc[codec] === null ? null : false;
}

function undecoded(seen: Case): Explained {
  const codec = seen.sends?.codec;
  const word = codec === 'H265' ? 'h265' : codec === 'JPEG' || codec === 'MJPEG' ? 'mjpeg' : codec === 'MPEG4' || codec === 'MP4V-ES' ? 'mpeg4' : 'codec';
  const here = codec === 'H264' && decodes(seen) === false;
  if (here) return { cause: 'no_h264', done: null, remedy: 'no_h264_fix' };
  return { cause: `undecoded_${word}`, done: null, remedy: `recoded_${word}_fix`, ...ruled(RULES[word]) };
}

const ruled = (rule: string | undefined): { rule?: string } => (rule ? { rule } : {});
