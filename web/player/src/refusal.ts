/** What the hub says when it does not open a view (RFC 9457), whichever way was asked. */
export interface Refusal {
  status: number;
  code: string;
  detail: string;
  hint: string;
  params: Record<string, unknown>;
  retryAfter: number | null;
}

export class Refused extends Error {
  readonly refusal: Refusal;
  constructor(refused: Refusal) {
    super(refused.detail || refused.code);
    this.refusal = refused;
  }
}

export function refusal(status: number, body: Record<string, unknown>, retryAfter: number | null = null): Refusal {
  const text = (name: string): string => (typeof body[name] === 'string' ? (body[name] as string) : '');
  return {
    status,
    code: text('code') || `http_${status}`,
    detail: text('detail'),
    hint: text('hint'),
    params: (body['params'] ?? {}) as Record<string, unknown>,
    retryAfter,
  };
}
