import { describe, expect, it } from 'vitest';
import { iceServers } from '../player/src/ice';

describe('the ICE servers of an answer', () => {
  it('are read with their credentials, several of one field', () => {
    const link =
      '<stun:s.example.vn>; rel="ice-server", ' +
      '<turn:t.example.vn:3478?transport=udp>; rel="ice-server"; username="1700003600:a"; credential="pa+ss/w=="; credential-type="password"';
    expect(iceServers(link)).toEqual([
      { urls: 'stun:s.example.vn' },
      { urls: 'turn:t.example.vn:3478?transport=udp', username: '1700003600:a', credential: 'pa+ss/w==' },
    ]);
  });
  it('are none where the field is missing or speaks of something else', () => {
    expect(iceServers(null)).toEqual([]);
    expect(iceServers('</api/v1/next>; rel="next", <turn:t.example.vn>; rel="other", <https://x>; rel="ice-server"')).toEqual([]);
  });
});
