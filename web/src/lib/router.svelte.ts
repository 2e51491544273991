/** Fifteen addresses need no library: history, patterns, and filters kept in the query. */
export interface Match {
  name: string;
  params: Record<string, string>;
}

const ROUTES: [string, string][] = [
  ['home', '/'],
  ['cameras', '/cameras'],
  ['add', '/cameras/new'],
  ['onboarding', '/onboardings/:id'],
  ['camera', '/cameras/:id'],
  ['wall', '/wall'],
  ['my', '/my'],
  ['my-history', '/my/:id/views'],
  ['my-sharing', '/my/:id/sharing'],
  ['standards', '/standards'],
  ['standard', '/standards/:id'],
  ['statements', '/statements'],
  ['alerts', '/alerts'],
  ['census', '/census'],
  ['audit', '/audit'],
  ['users', '/users'],
  ['me', '/me'],
];

export function match(path: string): Match {
  const clean = path.replace(/\/+$/, '') || '/';
  const parts = clean.split('/');
  for (const [name, pattern] of ROUTES) {
    const expected = pattern === '/' ? ['', ''] : pattern.split('/');
    const actual = clean === '/' ? ['', ''] : parts;
    if (expected.length !== actual.length) continue;
    const params: Record<string, string> = {};
    const fits = expected.every((piece, index) => {
      const value = actual[index] ?? '';
      if (!piece.startsWith(':')) return piece === value;
      try {
        params[piece.slice(1)] = decodeURIComponent(value);
      } catch {
        return false;
      }
      return value !== '';
    });
    if (fits) return { name, params };
  }
  return { name: 'missing', params: {} };
}

class Router {
  path = $state(location.pathname);
  query = $state.raw(new URLSearchParams(location.search));
  current = $derived(match(this.path));
  /** Counts page changes (not filter changes), so that the shell moves focus to the new heading. */
  visits = $state(0);

  constructor() {
    addEventListener('popstate', () => this.#read());
    document.addEventListener('click', (event) => this.#click(event));
  }

  go(to: string, options: { replace?: boolean } = {}): void {
    const before = location.pathname;
    history[options.replace ? 'replaceState' : 'pushState'](null, '', to);
    this.#read();
    if (location.pathname !== before) scrollTo(0, 0);
  }

  /** Change some filters of this page without adding a step to the history. */
  filter(changes: Record<string, string | null>): void {
    const next = new URLSearchParams(this.query);
    for (const [key, value] of Object.entries(changes)) {
      if (value) next.set(key, value);
      else next.delete(key);
    }
    const tail = next.toString();
    this.go(this.path + (tail ? `?${tail}` : ''), { replace: true });
  }

  #read(): void {
    if (location.pathname !== this.path) this.visits += 1;
    this.path = location.pathname;
    this.query = new URLSearchParams(location.search);
  }

  #click(event: MouseEvent): void {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = (event.target as Element | null)?.closest?.('a[href]');
    if (!(link instanceof HTMLAnchorElement) || link.target || link.hasAttribute('download')) return;
    if (link.origin !== location.origin || link.pathname.startsWith('/api/') || link.pathname.startsWith('/docs/')) return;
    if (link.hash && link.pathname === location.pathname) return;
    event.preventDefault();
    this.go(link.pathname + link.search + link.hash);
  }
}

export const router = new Router();
