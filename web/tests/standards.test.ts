import { describe, expect, it } from 'vitest';
import { belowFloor, changedLimits, differences, readLimit, typed, type Parameter, type Rule, type StandardDetail } from '../src/lib/standards';

const text = (words: string) => ({ vi: words, en: words });
const limit = (value: unknown, more: Partial<Parameter> = {}): Parameter => ({ value, unit: '', floor: null, stricter: '', ...more });
const rule = (id: string, more: Partial<Rule> = {}): Rule =>
  ({ id, rev: 1, group: id.slice(0, 3), title: text(id), severity: 'J', params: {}, required_text: text('x'), remediation: {}, references: [], ...more }) as Rule;
const standard = (...rules: Rule[]): StandardDetail => ({ id: 's', version: '1.0.0', rule_list: rules }) as unknown as StandardDetail;

describe('limits as they are typed', () => {
  it('reads numbers with comma or dot, and refuses words', () => {
    expect(readLimit('2,5', 5)).toBe(2.5);
    expect(readLimit(' 1 280 ', 720)).toBe(1280);
    expect(readLimit('.5', 1)).toBe(0.5);
    expect(readLimit('soon', 5)).toBeUndefined();
    expect(readLimit('', 5)).toBeUndefined();
    expect(readLimit('1e9', 5)).toBeUndefined();
  });
  it('reads yes and no, lists and words as what they are now', () => {
    expect(readLimit('true', false)).toBe(true);
    expect(readLimit('maybe', false)).toBeUndefined();
    expect(readLimit('H264; H265', ['H264'])).toEqual(['H264', 'H265']);
    expect(readLimit('1; x', [1])).toBeUndefined();
    expect(readLimit(' a ', 'b')).toBe('a');
  });
  it('gives back what it wrote', () => {
    for (const value of [2.5, 0, true, 'a', ['a', 'b'], [1, 2.5]]) expect(readLimit(typed(value), value)).toEqual(value);
  });
  it('sends only what differs, and names what cannot be read', () => {
    const rules = [rule('TIM-02', { params: { max_offset_s: limit(5), window_s: limit(10) } })];
    expect(changedLimits(rules, { 'TIM-02': { max_offset_s: '5', window_s: '9' } })).toEqual({ set: { 'TIM-02': { window_s: 9 } }, faults: [] });
    expect(changedLimits(rules, { 'TIM-02': { max_offset_s: 'x' } })).toEqual({ set: {}, faults: ['TIM-02.max_offset_s'] });
  });
  it('knows on which side of the floor a value lies', () => {
    expect(belowFloor(limit(5, { floor: 60, stricter: 'lower' }), 61)).toBe(true);
    expect(belowFloor(limit(5, { floor: 60, stricter: 'lower' }), 60)).toBe(false);
    expect(belowFloor(limit(25, { floor: 15, stricter: 'higher' }), 14)).toBe(true);
    expect(belowFloor(limit('a'), 'b')).toBe(false);
  });
});

describe('two standards', () => {
  it('tells rules that came, went, or ask otherwise', () => {
    const left = standard(rule('A-01'), rule('A-02'), rule('A-03', { params: { n: limit(1) } }));
    const right = standard(rule('A-01', { severity: 'B' }), rule('A-03', { params: { n: limit(2) } }), rule('A-04'));
    expect(differences(left, right).map((one) => [one.rule.id, one.kind, one.parts.map((part) => part.name)])).toEqual([
      ['A-01', 'changed', ['severity']],
      ['A-03', 'changed', ['required']],
      ['A-04', 'added', []],
      ['A-02', 'gone', []],
    ]);
  });
});
