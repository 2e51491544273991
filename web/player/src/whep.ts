/**
 * A WHEP viewer: one receive-only video track, one of sound where it is wanted, one POST, one DELETE (draft-ietf-wish-whep).
 */
import { address, asking, type Hub } from './hub';
import { iceServers } from './ice';
import { refusal, Refused, type Refusal } from './refusal';
import type { Path } from './states';

export interface WhepOptions {
  hub: Hub;
  /** Path of the camera's WHEP address, with its query. */
  path: string;
  /** Receive sound too, where the hub sends any. */
  sound: boolean;
  signal: AbortSignal;
  onStream: (stream: MediaStream) => void;
  onConnection: (state: RTCPeerConnectionState) => void;
}

export interface WhepSession {
  connection: RTCPeerConnection;
  /** Address of the view. */
  location: string;
  /** Close the connection and tell the hub, even while the page is being left. */
  close: () => void;
}

export interface Line {
  path: Path;
  /** Seconds there and back, null before it was measured. */
  roundTripS: number | null;
}

/** How a connection that stands goes; null where the browser does not tell. */
export async function lineOf(connection: RTCPeerConnection): Promise<Line | null> {
  const stats = await connection.getStats();
  for (const one of stats.values()) {
    if (one.type !== 'candidate-pair' || one.state !== 'succeeded' || !one.nominated) continue;
    const local = stats.get(one.localCandidateId) as { candidateType?: string; protocol?: string } | undefined;
    const path = local?.candidateType === 'relay' ? 'turn' : local?.protocol === 'tcp' ? 'tcp' : 'udp';
    return { path, roundTripS: typeof one.currentRoundTripTime === 'number' ? one.currentRoundTripTime : null };
  }
  return null;
}

export async function open(options: WhepOptions): Promise<WhepSession> {
  const connection = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
  const transceiver = connection.addTransceiver('video', { direction: 'recvonly' });
  if (options.sound) connection.addTransceiver('audio', { direction: 'recvonly' });
  connection.addEventListener('connectionstatechange', () => options.onConnection(connection.connectionState));
  connection.addEventListener('track', (event) => {
    // sound comes in the same stream
    if (event.track.kind === 'video') options.onStream(event.streams[0] ?? new MediaStream([event.track]));
  });
  try {
    // The hub never dials, so the offer needs no addresses and goes out at once. They are looked for with the answer, which names the
    // TURN servers: those that come later would need a restart.
    const offer = await connection.createOffer();
    const response = await fetch(address(options.hub, options.path), {
      method: 'POST',
      ...asking(options.hub, { 'content-type': 'application/sdp', accept: 'application/sdp, application/problem+json' }),
      body: offer.sdp ?? '',
      // never aborted: an answer that nobody waits for any more still names the session that has to be ended
    });
    if (response.status !== 201) throw new Refused(await refusalOf(response));
    const location = address(options.hub, new URL(response.headers.get('location') ?? '', response.url).pathname);
    const answer = await response.text();
    const session: WhepSession = {
      connection,
      location,
      close: () => {
        connection.close();
        remove(location, options.hub);
      },
    };
    if (options.signal.aborted) {
      session.close();
      throw new DOMException('stopped by the viewer', 'AbortError');
    }
    try {
      const servers = iceServers(response.headers.get('link'));
      if (servers.length) connection.setConfiguration({ ...connection.getConfiguration(), iceServers: servers });
      await connection.setLocalDescription(offer);
      await connection.setRemoteDescription({ type: 'answer', sdp: answer });
    } catch (error) {
      session.close();
      throw error;
    }
    // a picture that is late is worse than one frame less
    if ('jitterBufferTarget' in transceiver.receiver) transceiver.receiver.jitterBufferTarget = 0;
    return session;
  } catch (error) {
    connection.close();
    throw error;
  }
}

async function refusalOf(response: Response): Promise<Refusal> {
  let body: Record<string, unknown> = {};
  try {
    body = (await response.json()) as Record<string, unknown>;
  } catch {
    // the status alone is what is known
  }
  const seconds = Number(response.headers.get('retry-after'));
  return refusal(response.status, body, Number.isFinite(seconds) && seconds > 0 ? seconds : null);
}

function remove(location: string, hub: Hub): void {
  void fetch(location, {
    method: 'DELETE',
    keepalive: true,
    ...asking(hub),
  }).catch(() => {
    // the hub ends the view by itself when the leases run out
  });
}
