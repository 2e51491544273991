/** How the console's own pages use the player: its hub, its words, and what a camera says before anybody asks. */
import type { Hub } from '../../player/src/hub';
import type { Say, Told } from '../../player/src/say';
import { csrf } from '../lib/api';
import { clock, number, since } from '../lib/format';
import { language, pick, t, tk } from '../lib/i18n.svelte';
import { now } from '../lib/now.svelte';
import type { Camera } from '../lib/types';
import { localTimes, scheduleText } from '../lib/words';

export const HUB: Hub = { origin: '', token: () => null, csrf, language: () => language.locale };

export const say: Say = {
  t,
  tk,
  pick,
  number: (value, digits) => number(value, language.locale, digits),
  clock,
  since: (at) => since(at, now.at),
  localTimes,
};

/** Why nobody may look at a camera now, where its entry says so. */
export function refusedBy(camera: Camera): Told {
  const { code, text } = camera.viewable;
  switch (code) {
    case 'paused':
      return { sign: 'pause', title: t('player.paused'), offers: [] };
    case 'outside_hours':
      return { sign: 'calendar', title: pick(text) || t('health.outside_hours'), detail: scheduleText(camera.sharing.schedule), offers: [] };
    case 'codec_not_playable':
      return { sign: 'no_video', title: pick(text) || t('player.cannot_play'), detail: t('player.cannot_play_detail'), offers: [] };
    default:
      return { sign: 'lock', title: pick(text) || tk('viewable', code), offers: [] };
  }
}

/** The same on a wall, where no test is made: a camera that may only be tested is not looked at in passing. */
export const refusedOnWall = (camera: Camera): Told => (camera.viewable.test_only ? { sign: 'lock', title: tk('viewable', camera.viewable.code), detail: t('wall.test_only'), offers: [] } : refusedBy(camera));

/** Shared during an incident only: the incident's number is the key. */
export const byIncident = (camera: Camera): boolean => !camera.viewable.allowed && camera.viewable.code === 'not_at_this_level' && camera.sharing.mode === 'on_incident';
