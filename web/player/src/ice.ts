/**
 * The ICE servers that a hub names with its answer: `Link` fields of rel="ice-server" (RFC 9725 4.6), each with a credential that ends.
 */

const LINK = /<((?:turns?|stuns?):[^>\s]+)>((?:\s*;\s*[a-z-]+="[^"]*")*)/g;
const FIELD = /([a-z-]+)="([^"]*)"/g;

/** Read the field; several fields arrive as one, parted by commas. What is no ICE server is passed over. */
export function iceServers(link: string | null): RTCIceServer[] {
  const servers: RTCIceServer[] = [];
  for (const [, urls = '', fields = ''] of (link ?? '').matchAll(LINK)) {
    const told = new Map([...fields.matchAll(FIELD)].map(([, name = '', value = '']) => [name, value]));
    if (told.get('rel') !== 'ice-server') continue;
    const username = told.get('username');
    const credential = told.get('credential');
    servers.push(username && credential ? { urls, username, credential } : { urls });
  }
  return servers;
}
