import { untrack } from 'svelte';
import type { Live } from '../../player/src/live.svelte';
import type { Camera } from '../lib/types';

const CUT = ['paused', 'no_consent', 'outside_hours'];

/** Let a view go by what the tab's stream says of its camera; to be called while a component is made. `onCut` hears of a refusal. */
export function follow(live: Live, camera: () => Camera, onCut: () => void = () => undefined): void {
  let sawPause = false;
  $effect(() => {
    // a pause or a withdrawal is also told on the tab's own stream; whichever comes first blackens the picture
    const { viewable } = camera();
    if (!viewable.allowed && !viewable.test_only && live.active && CUT.includes(viewable.code)) {
      live.stop();
      onCut();
    }
  });
  $effect(() => {
    // told by the camera's health alone: a try that fails must not begin the next one at once
    if (camera().health.state === 'alive') untrack(() => live.nudge());
  });
  $effect(() => {
    // resumed: the box says so, and waits to be asked
    if (live.phase.name !== 'paused') sawPause = false;
    else if (camera().sharing.paused) sawPause = true;
    else if (sawPause) live.stop();
  });
}
