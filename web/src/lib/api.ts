/** The client of the hub's own API: cookies, CSRF, problems, entity tags. Nothing else in the pages calls `fetch`. */
import type { ProblemBody } from './types';

export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly body: ProblemBody;

  constructor(body: ProblemBody) {
    super(typeof body.detail === 'string' ? body.detail : (body.code ?? 'problem'));
    this.name = 'Problem';
    this.body = body;
    this.status = body.status ?? 0;
    this.code = body.code ?? 'unknown';
  }
}

export interface Ask {
  body?: unknown;
  query?: Record<string, string | number | null | undefined>;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  keepalive?: boolean;
}

export interface Answer<T> {
  data: T;
  etag: string | null;
  location: string | null;
}

const BASE = '/api/v1';
const listeners = { unauthorized: () => {}, reached: (_ok: boolean) => {} };
let acceptLanguage = 'vi';

export function configure(options: { unauthorized: () => void; reached: (ok: boolean) => void }): void {
  listeners.unauthorized = options.unauthorized;
  listeners.reached = options.reached;
}
export function speak(locale: string): void {
  acceptLanguage = locale;
}
export function csrf(): string {
  const match = /(?:^|;\s*)csrftoken=([^;]*)/.exec(document.cookie);
  return match?.[1] ? decodeURIComponent(match[1]) : '';
}

export function href(path: string, query: Ask['query'] = {}): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== '') search.set(key, String(value));
  }
  const tail = search.toString();
  return BASE + path + (tail ? `?${tail}` : '');
}

export async function ask<T>(method: string, path: string, options: Ask = {}): Promise<Answer<T>> {
  const headers: Record<string, string> = {
    accept: 'application/json',
    'accept-language': acceptLanguage,
    ...options.headers,
  };
  const init: RequestInit = { method, headers, credentials: 'same-origin' };
  if (method !== 'GET') headers['x-csrftoken'] = csrf();
  if (method === 'POST') headers['idempotency-key'] ??= key();
  if (options.body !== undefined) {
    headers['content-type'] ??= 'application/json';
    init.body = typeof options.body === 'string' || options.body instanceof Blob ? options.body : JSON.stringify(options.body);
  }
  if (options.signal) init.signal = options.signal;
  if (options.keepalive) init.keepalive = true;

  let response: Response;
  try {
    response = await fetch(href(path, options.query), init);
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    listeners.reached(false);
    throw new Problem({ code: 'network', status: 0 });
  }
  listeners.reached(true);
  if (!response.ok) throw await problemOf(response, path);
  const text = response.status === 204 ? '' : await response.text();
  const json = (response.headers.get('content-type') ?? '').includes('json');
  return {
    data: (json && text ? JSON.parse(text) : text) as T,
    etag: response.headers.get('etag'),
    location: response.headers.get('location'),
  };
}

/** A file that the hub makes, and its name. Problems are thrown as everywhere. */
export async function file(path: string, query: Ask['query'] = {}): Promise<{ blob: Blob; name: string }> {
  let response: Response;
  try {
    response = await fetch(href(path, query), { headers: { 'accept-language': acceptLanguage }, credentials: 'same-origin' });
  } catch {
    listeners.reached(false);
    throw new Problem({ code: 'network', status: 0 });
  }
  listeners.reached(true);
  if (!response.ok) throw await problemOf(response, path);
  const name = /filename="([^"]+)"/.exec(response.headers.get('content-disposition') ?? '')?.[1] ?? 'camhub';
  return { blob: await response.blob(), name };
}

async function problemOf(response: Response, path: string): Promise<Problem> {
  let body: ProblemBody = {};
  try {
    const parsed: unknown = await response.json();
    if (parsed && typeof parsed === 'object') body = parsed as ProblemBody;
  } catch {
    // a proxy's HTML page or an empty body: the status alone is what is known
  }
  const code = body.code ?? (response.status >= 500 ? 'server_fault' : `http_${response.status}`);
  if (response.status === 401 && path !== '/login' && code !== 'login_failed') listeners.unauthorized();
  const retryAfter = response.headers.get('retry-after');
  const params = retryAfter ? { retry_after: retryAfter, ...body.params } : body.params;
  return new Problem({ ...body, status: response.status, code, ...(params ? { params } : {}) });
}

/** A key that makes a repeated POST one action. `crypto.randomUUID` is missing on plain http, `getRandomValues` is not. */
function key(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (n) => n.toString(16).padStart(2, '0')).join('');
}

export const get = async <T>(path: string, query?: Ask['query'], signal?: AbortSignal): Promise<T> =>
  (await ask<T>('GET', path, { ...(query ? { query } : {}), ...(signal ? { signal } : {}) })).data;
export const post = async <T>(path: string, body?: unknown): Promise<T> =>
  (await ask<T>('POST', path, body === undefined ? {} : { body })).data;
