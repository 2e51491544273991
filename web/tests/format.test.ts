import { describe, expect, it } from 'vitest';
import { addressFault, ago, bitrate, clock, date, dateTime, duration, number, short, since, takeApart, tomorrowAt } from '../src/lib/format';

const at = (iso: string): Date => new Date(iso);
const NBSP = '\u00a0';

describe('dates', () => {
  it('are written in Vietnam time, day first, 24 hours, whatever the zone of the machine', () => {
    expect(dateTime(at('2026-11-20T12:40:05Z'))).toBe('20/11/2026 19:40:05');
    expect(date(at('2026-12-31T17:00:00Z'))).toBe('01/01/2027');
    expect(clock(at('2026-11-20T17:00:00Z'))).toBe('00:00:00');
  });
  it('are as short as they can be and still exact', () => {
    const now = at('2026-11-20T12:40:05Z');
    expect(since(at('2026-11-20T11:02:00Z'), now)).toBe('18:02');
    expect(since(at('2026-11-19T11:02:00Z'), now)).toBe('19/11 18:02');
    expect(since(at('2025-11-19T11:02:00Z'), now)).toBe('19/11/2025 18:02');
  });
  it('are relative only under 24 hours', () => {
    const now = at('2026-11-20T12:40:05Z');
    expect(ago(at('2026-11-20T12:39:25Z'), now, 'vi')).toBe(`40${NBSP}giây trước`);
    expect(ago(at('2026-11-20T10:27:05Z'), now, 'vi')).toBe(`2${NBSP}giờ 13${NBSP}phút trước`);
    expect(ago(at('2026-11-19T12:00:00Z'), now, 'en')).toBe('19/11/2026 19:00');
  });
  it('find six in the morning of the next Vietnamese day that has not begun', () => {
    expect(tomorrowAt(6, at('2026-11-20T12:40:05Z')).toISOString()).toBe('2026-11-20T23:00:00.000Z');
    expect(tomorrowAt(6, at('2026-11-20T20:00:00Z')).toISOString()).toBe('2026-11-20T23:00:00.000Z');
    expect(tomorrowAt(6, at('2026-11-20T23:30:00Z')).toISOString()).toBe('2026-11-21T23:00:00.000Z');
  });
});

describe('figures', () => {
  it('have the marks of the language', () => {
    expect(number(136000, 'vi')).toBe('136.000');
    expect(number(136000, 'en')).toBe('136,000');
    expect(number(31.29, 'vi', 1)).toBe('31,3');
    expect(number(-0.04, 'vi', 1)).toBe('0,0');
    expect(short(25, 'vi')).toBe('25');
    expect(short(12.5, 'vi')).toBe('12,5');
    expect(bitrate(2400, 'vi')).toBe(`2,4${NBSP}Mbit/s`);
    expect(duration(372, 'vi')).toBe(`6${NBSP}phút 12${NBSP}giây`);
    expect(duration(0, 'en')).toBe(`0${NBSP}s`);
  });
});

describe('an address as typed', () => {
  it('is taken apart, so that no credential stays in it', () => {
    expect(takeApart(' rtsp://admin:p%40ss@10.0.0.5:554/live ')).toEqual({ address: 'rtsp://10.0.0.5:554/live', username: 'admin', password: 'p@ss' });
    expect(takeApart('admin:100%@10.0.0.5')).toEqual({ address: '10.0.0.5', username: 'admin', password: '100%' });
    expect(takeApart('rtsp://u:a@b@10.0.0.5/x')).toEqual({ address: 'rtsp://10.0.0.5/x', username: 'u', password: 'a@b' });
    expect(takeApart('10.0.0.5/path?to=a@b')).toEqual({ address: '10.0.0.5/path?to=a@b' });
    expect(takeApart('rtsp://admin@10.0.0.5')).toEqual({ address: 'rtsp://10.0.0.5', username: 'admin' });
  });
  it('is refused only where it cannot be one', () => {
    expect(addressFault('')).toBe('empty');
    expect(addressFault('192.168.1')).toBe('short_ipv4');
    expect(addressFault('rtsp://192.168.1/live')).toBe('short_ipv4');
    expect(addressFault('my camera')).toBe('space');
    for (const fine of ['192.168.1.20', 'camera', 'camera.local:8554', 'rtsp://192.168.1.20:554/a b', '[fe80::1]:554']) expect(addressFault(fine)).toBeNull();
  });
});
