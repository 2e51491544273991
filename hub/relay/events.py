"""What the relay tells the hub, and what the hub tells the relay about a camera."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal

import msgspec

from adapters.secret import Credential

State = Literal["opening", "live", "stalled", "offline"]
Outcome = Literal["ok", "failed", "unknown"]


# among the codecs of a recipient: it takes any sound that goes out as the camera cut it
HEARS_ALL: Final = "SOUND"

Masks = tuple[
    tuple[tuple[float, float], ...], ...
]  # polygons, corners (x, y) from 0 to 1 of width and height


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """One camera's stream: what a worker needs to pull it, and nothing else."""

    camera_id: str
    url: str  # without credential
    credential: Credential | None
    transport: str = "tcp"  # tcp | udp
    codec: str = ""  # as the catalog knows it: H264 H265 JPEG ...; "" where unknown
    device: str = ""  # the gate's key of the device
    sub_url: str = ""  # of the smaller stream, without credential; "" where there is none
    sub_codec: str = ""
    both: bool = False  # main and sub may be pulled at the same time: two sessions of one device
    may_ask: bool = False  # the camera may be asked for a key frame (admitted municipal cameras)
    audio: bool = False  # the sound is shared as well: without it the camera is not asked for it
    sub_only: bool = False  # the custodian's line is to carry the smaller stream alone, where there is one
    masks: Masks = ()  # zones that are painted black before a picture leaves; with any, nothing is copied

    @property
    def layers(self) -> tuple[str, ...]:
        """Return the layers that may be pulled, the larger first."""
        if self.sub_url and self.sub_only:
            return ("sub",)
        return ("main", "sub") if self.sub_url else ("main",)

    def of_layer(self, layer: str) -> "SourceSpec":
        """Return the description with the address and codec of one layer in the first place."""
        return replace(self, url=self.sub_url, codec=self.sub_codec) if layer == "sub" else self


@dataclass(frozen=True, slots=True)
class KeyFrame:
    """The newest key frame of a camera that is pulled, H.264, with its parameter sets: for a still."""

    nals: tuple[bytes, ...]
    arrived_at: datetime  # UTC


class ViewerConnected(msgspec.Struct, frozen=True, tag=True):
    """The viewer's transport stands; frames flow as soon as the camera gives any."""

    viewer_id: str


class ViewerEnded(msgspec.Struct, frozen=True, tag=True):
    """No more frames go to this viewer.

    `code`: what `stop` was called with, or ``lease_expired``, ``not_connected`` (no DTLS within 15 s), ``dtls_failed``,
    ``viewer_left`` (it said goodbye), ``viewer_gone`` (30 s without an ICE check), ``send_failed``,
    ``codec_not_playable``, ``relay_restarted``, ``relay_stopped``, or the code of the error that ended the camera for
    good (``login_refused``, ``cooling_down``, ...).
    """

    viewer_id: str
    code: str


class SourceState(msgspec.Struct, frozen=True, tag=True):
    """A camera's pull changed: ``opening``, ``live``, ``stalled`` (no frame for 3 s) or ``offline``.

    ``offline`` with code ``idle`` is the relay hanging up after the last viewer: no news about the camera. `since` is when it began to be so (UTC), `code` and `detail` say why where it is not live, `last_frame_age_s` is the
    age of the newest picture, -1 where there was none. ``opening`` with code ``no_key_frame``: pictures come, none to begin
    with. `key_frames_s`: seconds from key frame to key frame where they are too many (`hub.relay.camera.keyframes`), else 0; an event comes
    again when that changes.
    """

    camera_id: str
    state: State
    since: datetime
    code: str = ""
    detail: str = ""
    last_frame_age_s: float = -1.0
    layer: str = "main"  # which of the camera's streams
    key_frames_s: float = 0.0


class LayerChanged(msgspec.Struct, frozen=True, tag=True):
    """A viewer gets this layer from the next key frame on, or stays with it although it wanted another.

    `wanted`: main | sub | auto. `code` says why it is this one: ``""`` (as wanted), ``network`` (loss or delay at the
    viewer), ``recovered``, ``no_sub_stream``, ``uplink`` (the custodian's line carries the smaller stream alone), ``one_stream`` (the device may be pulled once only), ``codec_not_playable``, or the
    code of the error that kept the other stream from being opened. `rendition`: copy | transcode; `codec` is what is sent;
    `why` says why the stream wanted is not sent as the camera sends it: h265, mjpeg, mpeg4, b_frames, format, mask, codec.
    `sound`: ``on``, or why the viewer hears nothing: ``none`` (the camera sends none), ``codec`` (none that can be heard),
    ``full`` (as much is recoded as may be), ``failed``, ``not_offered`` (the viewer has no place for it); ``""`` where it may not hear.
    """

    viewer_id: str
    layer: str
    wanted: str
    code: str = ""
    rendition: str = "copy"
    codec: str = "H264"
    why: str = ""
    sound: str = ""


class PushState(msgspec.Struct, frozen=True, tag=True):
    """An encoder pushes a camera from now on, or no more.

    `code`: what `stop` was called with, or ``replaced`` (it came back by another connection), ``pusher_left``,
    ``pusher_gone`` (30 s without an ICE check), ``not_connected``, ``dtls_failed``, ``relay_stopped``.
    """

    push_id: str
    camera_id: str
    pushed: bool
    since: datetime
    code: str = ""


class CameraPulled(msgspec.Struct, frozen=True, tag=True):
    """A camera is held by this worker from now on, or no more: every stream was closed and the camera told so.

    Between the two no other worker may open it.
    """

    camera_id: str
    pulled: bool


RelayEvent = ViewerConnected | ViewerEnded | SourceState | LayerChanged | CameraPulled | PushState


class Finding(msgspec.Struct, frozen=True, tag=True):
    """One way by which browsers could reach the relay, and whether it goes (`reachability.py`).

    `way`: udp | tcp | turn | addresses | worker. `code`: ok, worker_down, not_bound, no_answer, no_answer_public, refused_connection, turn_refused,
    turn_unreachable, turn_no_relay, turn_secret_missing, loopback_only, private_only, no_ipv6. `detail` is one English sentence that names
    what was seen and what to do. `worker`: whose port it is.
    """

    way: str
    address: str
    outcome: Outcome
    code: str
    detail: str
    worker: int = 0


def of_all_workers(found: Mapping[int, Iterable[Finding]]) -> tuple[Finding, ...]:
    """Return the findings of all workers, each with its worker's number; what is the same of several is said once."""
    findings: dict[tuple[str, ...], Finding] = {}
    for worker, theirs in found.items():
        for one in theirs:
            key = (one.way, one.address, one.code, one.detail)
            findings.setdefault(key, msgspec.structs.replace(one, worker=worker))
    return tuple(findings.values())
