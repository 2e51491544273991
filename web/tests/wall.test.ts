import { describe, expect, it } from 'vitest';
import { gridOf } from '../src/pages/wall/wall.svelte';

describe('the number of tiles', () => {
  it('is four where nobody asked for another, and what the address says where that is a grid', () => {
    expect([null, '', '4', '5', '16', '1', '-1', '1e1', 'x'].map((wish) => gridOf(wish, false))).toEqual([4, 4, 4, 4, 16, 1, 4, 4, 4]);
  });
  it('is one or two on a phone', () => {
    expect([null, '1', '2', '4', '16'].map((wish) => gridOf(wish, true))).toEqual([2, 1, 2, 2, 2]);
  });
});
