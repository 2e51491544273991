import { describe, expect, it } from 'vitest';
import type { Decoders } from '../player/src/decoders';
import { Lines } from '../player/src/events';
import type { Phase } from '../player/src/states';
import { explain, type Case } from '../player/src/why';
import english from '../../hub/locale/en/ui.json';

const chromium: Decoders = { webrtc: true, rtc: { H264: true, H265: false }, mse: true, source: { H264: true, H265: false }, aac: true };
const firefox: Decoders = { ...chromium, rtc: { H264: false, H265: false } };
const refusal = { status: 403, code: 'wrong_area', detail: '', hint: '', params: {}, retryAfter: null };

function seen(phase: Phase, more: Partial<Case> = {}): Case {
  return { phase, way: { name: 'webrtc' }, sent: null, sends: { codec: 'H264', relay: 'copy' }, decoders: chromium, layer: null, ...more };
}
const opening: Phase = { name: 'opening', since: 0, code: '', cause: null };
const causes = (one: Case): string[] => explain(one).map((found) => found.cause);

describe('why can I not see it?', () => {
  it('says nothing where the picture comes as the camera sends it', () => {
    expect(causes(seen({ name: 'live' }))).toEqual([]);
  });
  it('names the network where MSE had to be taken, and how to open it', () => {
    expect(explain(seen({ name: 'live' }, { way: { name: 'mse', why: 'network' } }))).toEqual([{ cause: 'blocked', done: 'mse', remedy: 'blocked_fix' }]);
  });
  it('says that UDP is blocked where WebRTC had to take another way', () => {
    expect(explain(seen({ name: 'live' }, { path: 'tcp' }))).toEqual([{ cause: 'udp_blocked', done: 'over_tcp', remedy: 'udp_blocked_fix' }]);
    expect(causes(seen({ name: 'live' }, { path: 'udp' }))).toEqual([]);
  });
  it('says of Firefox that its WebRTC lacks the decoder', () => {
    expect(causes(seen({ name: 'live' }, { way: { name: 'mse', why: 'codec' }, decoders: firefox }))).toEqual(['no_codec']);
  });
  it('tells that both ways are blocked from a browser that has only one', () => {
    expect(causes(seen({ name: 'blocked' }))).toEqual(['blocked_all']);
    expect(causes(seen({ name: 'blocked' }, { decoders: { ...chromium, mse: false } }))).toEqual(['blocked_no_mse']);
  });
  it.each(['h265', 'mjpeg', 'mpeg4', 'b_frames', 'format', 'mask', 'codec'])('names the camera setting where %s is recoded', (why) => {
    const found = explain(seen({ name: 'live' }, { sent: { codec: 'H264', rendition: 'transcode', why, cause: null, keyFramesS: 0 } }));
    expect(found).toMatchObject([{ cause: `recoded_${why}`, done: 'recoded', remedy: `recoded_${why}_fix` }]);
  });
  it('says a word of the hub that it does not know as an unplayable codec', () => {
    expect(causes(seen({ name: 'live' }, { sent: { codec: 'H264', rendition: 'transcode', why: 'something_new', cause: null, keyFramesS: 0 } }))).toEqual(['recoded_codec']);
  });
  it('blames neither network nor browser for a pause, a refusal or a dead camera', () => {
    const blocked = { way: { name: 'mse', why: 'network' } } as const;
    expect(causes(seen({ name: 'paused' }, blocked))).toEqual(['paused']);
    expect(causes(seen({ name: 'refused', refusal }, blocked))).toEqual(['refused']);
    expect(causes(seen({ name: 'fault', since: null, cause: null }, blocked))).toEqual(['fault']);
  });
  it('says what the camera sends that the browser does not decode', () => {
    expect(causes(seen({ name: 'cannot_play', refusal: null }, { sends: { codec: 'H265', relay: 'no' } }))).toEqual(['undecoded_h265']);
    expect(causes(seen({ name: 'cannot_play', refusal: null }, { sends: { codec: 'JPEG', relay: 'no' } }))).toEqual(['undecoded_mjpeg']);
  });
  it('does not say of a browser that has H.264 that it lacks it', () => {
    expect(causes(seen({ name: 'cannot_play', refusal: null }))).toEqual(['undecoded_codec']);
    expect(causes(seen({ name: 'cannot_play', refusal: null }, { decoders: { ...firefox, mse: false, source: { H264: false, H265: false } } }))).toEqual(['no_h264']);
  });
  it('tells a camera that the hub hears no more of from a line that lets packets fall', () => {
    expect(causes(seen({ name: 'stopped', at: new Date(0), code: 'no_frames', cause: null }))).toEqual(['silent']);
    expect(causes(seen({ name: 'stopped', at: new Date(0), code: '', cause: null }))).toEqual(['stopped']);
  });
  it('admits that it does not know', () => {
    expect(causes(seen(opening, { sends: null }))).toEqual(['unknown_cause']);
  });
  it('says the weak network behind a smaller stream', () => {
    expect(causes(seen({ name: 'live' }, { layer: { layer: 'sub', wanted: 'auto', code: 'network' } }))).toEqual(['weak']);
  });
  it.each([
    ['uplink_full', 'full_uplink'],
    ['transcodes_full', 'full_recode'],
    ['no_room', 'full'],
  ])('says what has no room where the hub answers %s', (code, cause) => {
    expect(explain(seen({ name: 'full', refusal: { ...refusal, status: 503, code }, due: 0 }))).toEqual([{ cause, done: 'full_done', remedy: `${cause}_fix` }]);
  });
  it('says why the main stream that was asked for is not shown', () => {
    const found = explain(seen({ name: 'live' }, { sends: { codec: 'H265', relay: 'transcode' }, layer: { layer: 'sub', wanted: 'main', code: 'codec_not_playable' } }));
    expect(found).toEqual([{ cause: 'undecoded_h265', done: 'other_layer', remedy: 'recoded_h265_fix', rule: 'STR-06' }]);
  });
  it('says that the line of the house carries the smaller stream alone', () => {
    expect(causes(seen({ name: 'live' }, { layer: { layer: 'sub', wanted: 'main', code: 'uplink' } }))).toEqual(['uplink']);
  });
  it('says how far apart the key frames are, and which setting brings them nearer', () => {
    const sent = { codec: 'H264', rendition: 'copy', why: '', cause: null, keyFramesS: 8 };
    const setting = { remedy: 'key_frames_fix', rule: 'STR-08' };
    expect(explain(seen({ name: 'live' }, { sent }))).toEqual([{ cause: 'key_frames', done: 'key_frames_done', params: { s: 8 }, ...setting }]);
    expect(explain(seen({ ...opening, code: 'no_key_frame' }, { sent }))).toEqual([{ cause: 'no_key_frame', done: 'no_key_frame_done', ...setting }]);
  });
  it('says of a view that ended that alone', () => {
    const sent = { codec: 'H264', rendition: 'transcode', why: 'mjpeg', cause: null, keyFramesS: 8 };
    expect(causes(seen({ name: 'ended', code: 'x', cause: null, at: new Date(0) }, { sent }))).toEqual(['ended']);
  });
  it('has words for everything that it says', () => {
    const phases: Phase[] = [
      { name: 'paused' },
      { name: 'refused', refusal },
      { name: 'full', refusal, due: 0 },
      { name: 'fault', since: null, cause: null },
      { name: 'reconnecting', at: new Date(0), attempt: 1, due: 0 },
      { name: 'lost', at: new Date(0) },
      { name: 'stopped', at: new Date(0), code: '', cause: null },
      { name: 'stopped', at: new Date(0), code: 'damaged', cause: null },
      { name: 'stopped', at: new Date(0), code: 'no_frames', cause: null },
      { name: 'repeating', since: new Date(0) },
      { name: 'blocked' },
      { name: 'cannot_play', refusal: null },
      { name: 'ended', code: 'x', cause: null, at: new Date(0) },
      opening,
      { ...opening, code: 'no_key_frame' },
    ];
    const cases = phases.flatMap((phase) =>
      [null, 'H264', 'H265', 'JPEG', 'MPEG4', 'VP9'].flatMap((codec) => [
        seen(phase, { sends: codec ? { codec, relay: null } : null }),
        seen(phase, { way: { name: 'mse', why: 'missing' }, decoders: { ...firefox, mse: false }, layer: { layer: 'main', wanted: 'sub', code: 'no_sub_stream' } }),
      ]),
    );
    for (const path of ['tcp', 'turn'] as const) cases.push(seen({ name: 'live' }, { path }));
    for (const code of ['uplink_full', 'transcodes_full']) cases.push(seen({ name: 'full', refusal: { ...refusal, code }, due: 0 }));
    for (const code of ['uplink', 'one_stream', 'network', 'transcodes_full']) cases.push(seen({ name: 'live' }, { layer: { layer: 'sub', wanted: 'main', code } }));
    for (const why of ['h265', 'mjpeg', 'mpeg4', 'b_frames', 'format', 'mask', 'codec']) cases.push(seen({ name: 'live' }, { sent: { codec: 'H264', rendition: 'copy', why, cause: null, keyFramesS: 12 } }));
    const words = cases.flatMap(explain).flatMap((one) => [one.cause, one.done, one.remedy]).filter((key) => key !== null);
    expect(words.filter((key) => !(`player.why_${key}` in english))).toEqual([]);
  });
});

describe('a stream of events', () => {
  it('is read whole however it is cut', () => {
    const text = ': hello\n\nevent: state\ndata: {"a":1}\n\nevent: layer\r\ndata: one\r\ndata: two\r\n\r\n';
    for (const size of [1, 2, 7, 100]) {
      const heard: string[] = [];
      const lines = new Lines((name, data) => heard.push(`${name} ${data}`));
      for (let at = 0; at < text.length; at += size) lines.add(text.slice(at, at + size));
      expect(heard).toEqual(['state {"a":1}', 'layer one\ntwo']);
    }
  });
  it('ends where an event never does', () => {
    const lines = new Lines(() => undefined);
    expect(() => lines.add('data: '.padEnd(70_000, 'x'))).toThrow();
  });
});
