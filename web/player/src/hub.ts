/** Where the hub is and who asks it: a page of its own by cookie, any other page by a token. */
export interface Hub {
  /** Address of the hub, without a slash at its end; "" is the origin of the page. */
  origin: string;
  /** A bearer token; null where the cookie of the sign-in is sent. */
  token: () => string | null;
  /** The CSRF word that goes with the cookie. */
  csrf: () => string;
  language: () => string;
}

export const API = '/api/v1';

/** The whole address of a path of the hub. */
export const address = (hub: Hub, path: string): string => new URL(`${hub.origin}${path}`, document.baseURI).href;

/** How a request is sent: never cookies beside a token, never a CSRF word to another origin. */
export function asking(hub: Hub, more: Record<string, string> = {}): { credentials: RequestCredentials; headers: Record<string, string> } {
  const token = hub.token();
  const headers: Record<string, string> = { 'accept-language': hub.language(), ...more };
  if (token) headers['authorization'] = `Bearer ${token}`;
  else headers['x-csrftoken'] = hub.csrf();
  return { credentials: token ? 'omit' : 'same-origin', headers };
}
