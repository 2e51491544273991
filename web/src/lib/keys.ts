/** Single-key shortcuts: never in a field, never while a Vietnamese word is being composed, and they can be switched off. */
export type Bindings = Record<string, (event: KeyboardEvent) => void>;

export function shortcutsOn(): boolean {
  try {
    return localStorage.getItem('camhub.shortcuts') !== 'off';
  } catch {
    return true;
  }
}
export function setShortcuts(on: boolean): void {
  try {
    localStorage.setItem('camhub.shortcuts', on ? 'on' : 'off');
  } catch {
    // without storage they stay on
  }
}

/** Bind keys for as long as a component lives; return the undo for `$effect`. */
export function bind(bindings: Bindings): () => void {
  const listen = (event: KeyboardEvent): void => {
    if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (!shortcutsOn() && event.key !== 'Escape') return;
    const at = event.target;
    if (at instanceof HTMLElement && (at.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(at.tagName))) {
      const box = at instanceof HTMLInputElement && /^(checkbox|radio)$/.test(at.type);
      if (!box && event.key !== 'Escape') return;
    }
    if (document.querySelector('dialog[open]')) return;
    // Space and Enter belong to a focused control
    if ((event.key === ' ' || event.key === 'Enter') && at instanceof Element && at.closest('button, a[href], summary, input, [role=tab]')) return;
    const action = bindings[event.key];
    if (!action) return;
    event.preventDefault();
    action(event);
  };
  addEventListener('keydown', listen);
  return () => removeEventListener('keydown', listen);
}
