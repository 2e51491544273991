import { afterEach, expect, it, vi } from 'vitest';
import { follow } from '../player/src/events';

afterEach(() => vi.unstubAllGlobals());

it('takes the layer from the answer of the hub also where the state was told before that came', async () => {
  let tell: (text: string) => void = () => undefined;
  const line = new ReadableStream<Uint8Array>({ start: (at) => void (tell = (text) => at.enqueue(new TextEncoder().encode(text))) });
  let answer: (response: Response) => void = () => undefined;
  const asked = new Promise<Response>((resolve) => void (answer = resolve));
  vi.stubGlobal('document', { baseURI: 'http://hub.example/' });
  vi.stubGlobal('fetch', (url: string) => (String(url).endsWith('/sessions/events') ? Promise.resolve(new Response(line)) : asked));
  const heard: string[] = [];
  const events = follow({ origin: '', token: () => null, csrf: () => '', language: () => 'en' }, '/api/v1/sessions/one', {
    onEvent: (name, data) => heard.push(`${name} ${String(data['state'] ?? data['layer'])}`),
    onHeard: () => undefined,
  });
  tell('event: state\ndata: {"session":"one","state":"live"}\n\n');
  await vi.waitFor(() => expect(heard).toEqual(['state live']));
  answer(Response.json({ id: 'one', state: 'opening', layer: 'sub' }));
  await vi.waitFor(() => expect(heard.map((one) => one.split(' ')[0])).toEqual(['state', 'layer']));
  events.close();
});
