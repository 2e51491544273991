import { describe, expect, it } from 'vitest';
import { delayOf, motion, retryDelay } from '../player/src/clock';

describe('the frame clock', () => {
  it('calls a picture moving for 1 s, hesitating for 3 s, then stopped', () => {
    expect([0, 0.9, 1.1, 2.9, 3.1].map(motion)).toEqual(['moving', 'moving', 'hesitating', 'hesitating', 'stopped']);
  });
  it('gives a delay only where the capture time is known and believable', () => {
    expect(delayOf({ shown: 1000 }, 0.1)).toBeNull();
    expect(delayOf({ shown: 1000, captureTime: 600 }, 0.1)).toEqual({ seconds: 0.4, about: false });
    expect(delayOf({ shown: 1000, captureTime: 2000 }, null)).toBeNull();
    expect(delayOf({ shown: 420_000, captureTime: 0 }, null)).toBeNull();
  });
  it('else tells about how late the picture is from the hub on: half the way there and back, and its time here', () => {
    expect(delayOf({ shown: 1000, receiveTime: 950 }, 0.2)).toMatchObject({ seconds: expect.closeTo(0.15) as number, about: true });
    expect(delayOf({ shown: 1000, receiveTime: 950 }, null)).toBeNull();
  });
  it('tries again after 1, 2, 4, 8, 15 s with a quarter of jitter, then only on request', () => {
    expect([0, 1, 2, 3, 4, 5].map((attempt) => retryDelay(attempt, () => 0.5))).toEqual([1, 2, 4, 8, 15, null]);
    expect(retryDelay(2, () => 0)).toBe(3);
    expect(retryDelay(2, () => 1)).toBe(5);
  });
});
