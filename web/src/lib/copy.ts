/** Copy text; `navigator.clipboard` is missing on plain http, where a hub on a LAN is mostly met. */
export async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const holder = document.createElement('textarea');
    holder.value = text;
    holder.style.position = 'fixed';
    holder.style.opacity = '0';
    const focused = document.activeElement;
    document.body.append(holder);
    holder.select();
    try {
      return document.execCommand('copy');
    } catch {
      return false;
    } finally {
      holder.remove();
      if (focused instanceof HTMLElement) focused.focus({ preventScroll: true });
    }
  }
}
