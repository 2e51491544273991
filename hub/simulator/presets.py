"""Presets: what a scripted camera is, read from TOML. The shipped ones are `presets.toml` beside this file."""

import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

_Line = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\r\n]+$")]
_Even = Annotated[int, Field(ge=64, le=4096, multiple_of=4)]


class PresetError(Exception):
    """A preset file that cannot be used, or a preset that is not known. The text is for the person at the terminal."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Identity(_Part):
    """What GetDeviceInformation says. Serial, MAC and endpoint reference differ per camera and are made at start."""

    manufacturer: _Line
    model: _Line
    firmware: _Line
    hardware: _Line


class ClockScript(_Part):
    """The camera's clock: how wrong, and how it is set."""

    offset_s: float = 0.0  # camera clock minus true time; + is fast
    source: Literal["NTP", "Manual"] = "Manual"
    ntp_servers: tuple[_Line, ...] = ()
    timezone: _Line = "ICT-7"  # POSIX zone, as in ONVIF Core 8.3.6
    daylight_savings: bool = False


class OnvifScript(_Part):
    """The ONVIF side: services offered and how a login is verified."""

    services: tuple[Literal["device", "media", "media2", "events", "ptz"], ...] = ("device", "media")
    profiles_claimed: tuple[Literal["Streaming", "T", "G", "M"], ...] = ("Streaming",)
    # digest: HTTP 401 with Digest, a UsernameToken is taken as well; wsse: UsernameToken only; none: answers anyone
    auth: Literal["digest", "wsse", "none"] = "digest"
    algorithms: tuple[Literal["SHA-256", "MD5"], ...] = ("SHA-256", "MD5")
    nonce_lifetime_s: float | None = Field(default=300.0, gt=0)
    token_age_s: float = Field(default=10.0, gt=0)  # how far wsu:Created may lie from the camera's clock
    snapshot: bool = True
    refused_operations: tuple[_Line, ...] = ()  # answered with ter:ActionNotSupported
    answer_delay_s: float = Field(default=0.0, ge=0)  # before each answer
    # of the account that is handed out (ONVIF Core 5.9.4.3): users read, operators move the camera as well
    level: Literal["user", "operator"] = "user"


class EventsScript(_Part):
    """The event service, where `onvif.services` lists it."""

    every_s: float | None = Field(
        default=None, gt=0
    )  # motion at random, this far apart on average; None: never
    lasts_s: float = Field(default=4.0, gt=0)  # how long one motion lasts
    seed: int = 1  # the same seed, the same motions
    max_pull_points: int = Field(default=4, ge=1, le=64)
    longest_lease_s: float = Field(default=600.0, gt=0)  # shorter than asked for, if need be
    utc: bool = True  # False: UtcTime holds the local time, as some cameras write it


class PtzPreset(_Part):
    """Where a preset looks: positions from -1 to 1 (pan, tilt) and 0 to 1 (zoom)."""

    token: _Line
    name: _Line
    pan: float = Field(default=0.0, ge=-1, le=1)
    tilt: float = Field(default=0.0, ge=-1, le=1)
    zoom: float = Field(default=0.0, ge=0, le=1)


class PtzScript(_Part):
    """The moving head, where `onvif.services` lists PTZ. It carries the first video source."""

    per_s: float = Field(default=0.4, gt=0)  # of the whole way, at full speed
    longest_move_s: float = Field(default=10.0, gt=0)  # a longer time-out is cut to it
    presets: tuple[PtzPreset, ...] = ()


class RtspScript(_Part):
    """The RTSP side."""

    auth: Literal["digest", "none"] = "digest"
    algorithms: tuple[Literal["SHA-256", "MD5"], ...] = ("SHA-256", "MD5")
    nonce_lifetime_s: float | None = Field(default=None, gt=0)  # None: as long as the connection
    session_timeout_s: float = Field(default=60.0, gt=0)
    transports: tuple[Literal["tcp", "udp"], ...] = ("tcp", "udp")
    max_sessions: int = Field(default=16, ge=1)
    max_connections: int = Field(default=64, ge=1)
    parameter_sets_in_sdp: bool = True
    answer_delay_s: float = Field(default=0.0, ge=0)
    # plain: RTSP; tls: RTSPS with a certificate of its own; tls-expired: with one that is over
    line: Literal["plain", "tls", "tls-expired"] = "plain"
    http_tunnel: bool = False  # RTSP inside GET and POST is taken on the same port
    keepalives: tuple[Literal["OPTIONS", "GET_PARAMETER", "SET_PARAMETER"], ...] = (
        "OPTIONS",
        "GET_PARAMETER",
    )  # what keeps a session alive; the others are refused inside a session
    udp_silent: bool = False  # UDP is agreed on and nothing is ever sent
    redirect: Annotated[str, StringConstraints(pattern=r"^$|^[a-z+]+://[!-~]{1,200}$")] = ""  # DESCRIBE: 302
    path_only: bool = False  # DESCRIBE of a full address is answered 404


class StreamScript(_Part):
    """One stream. What ONVIF claims about it is what is sent."""

    layer: Literal["main", "sub"]
    source: int = Field(default=1, ge=1, le=64)  # which video source of a recorder
    path: Annotated[str, StringConstraints(pattern=r"^/[A-Za-z0-9._~/-]{0,100}$")]
    codec: Literal["H264", "H265", "JPEG"]
    width: _Even
    height: _Even
    fps: int = Field(ge=1, le=60)
    bitrate_kbps: int = Field(ge=50, le=20000)
    gov_length_frames: int | None = Field(default=None, ge=1)  # None: one key frame per second
    key_on_play: bool = True  # PLAY brings a key frame at once; False: the client waits for the next one
    profile: Literal["Baseline", "Main", "High"] = "Baseline"  # of H264; B-frames make it Main at least
    b_frames: int = Field(default=0, ge=0, le=4)  # between two reference pictures; H264 only
    markers: bool = True  # the last packet of each picture has the marker bit
    parameter_sets_in_band: bool = True

    @property
    def gov_length(self) -> int:
        """Return the key frame distance in frames."""
        return self.gov_length_frames or self.fps

    @property
    def coded_profile(self) -> str:
        """Return the profile that is sent and claimed; "" where the codec has none."""
        if self.codec == "H264":
            return "Main" if self.b_frames and self.profile == "Baseline" else self.profile
        return "Main" if self.codec == "H265" else ""

    @property
    def token(self) -> str:
        """Return the token of its MediaProfile."""
        return f"profile_{self.layer}" if self.source == 1 else f"profile_{self.layer}_{self.source}"

    @property
    def source_token(self) -> str:
        """Return the token of its video source."""
        return f"video_source_{self.source}"

    @model_validator(mode="after")
    def _can_be_coded(self) -> "StreamScript":
        if self.b_frames and self.codec != "H264":
            raise ValueError("B-frames are made for H264 only")
        return self

    @model_validator(mode="after")
    def _jpeg_fits(self) -> "StreamScript":
        # RFC 2435 section 3.1.5: width and height are sent in units of 8 pixels, in one byte each
        if self.codec == "JPEG" and (
            self.width % 8 or self.height % 8 or max(self.width, self.height) > 2040
        ):
            raise ValueError(
                "a JPEG picture has sides of at most 2040 pixels that are multiples of 8 (RFC 2435)"
            )
        return self


class Sentence(_Part):
    """What the preset is for, in one sentence."""

    en: str
    vi: str


class Preset(_Part):
    """One kind of camera."""

    id: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")]
    title: _Line
    sentence: Sentence
    identity: Identity
    scene: _Line = "square"  # seed of the picture: another word, another street
    location: _Line = "gate"  # location scope
    dead: bool = False
    clock: ClockScript = ClockScript()
    onvif: OnvifScript | None = None
    events: EventsScript = EventsScript()
    ptz: PtzScript = PtzScript()
    rtsp: RtspScript = RtspScript()
    streams: tuple[StreamScript, ...] = ()

    @model_validator(mode="after")
    def _coherent(self) -> "Preset":
        layers = [(stream.source, stream.layer) for stream in self.streams]
        paths = [stream.path for stream in self.streams]
        if len(set(layers)) != len(layers) or len(set(paths)) != len(paths):
            raise ValueError("streams: each layer of a source and each path may be there once")
        if not self.dead and any((source, "main") not in layers for source in {1, *self.sources}):
            raise ValueError("streams: each source of a camera needs a stream of layer main")
        tokens = [preset.token for preset in self.ptz.presets]
        if len(set(tokens)) != len(tokens):
            raise ValueError("ptz.presets: each token may be there once")
        return self

    @property
    def sources(self) -> tuple[int, ...]:
        """Return the numbers of the video sources: one for a camera, several for a recorder."""
        return tuple(dict.fromkeys(stream.source for stream in self.streams))

    def stream(self, layer: str, source: int = 1) -> StreamScript | None:
        """Return the stream of a layer, or None where the camera has none."""
        return next((one for one in self.streams if (one.source, one.layer) == (source, layer)), None)


def shipped() -> Mapping[str, Preset]:
    """Return the presets that ship with the program, in reading order."""
    text = resources.files("hub.simulator").joinpath("presets.toml").read_text("utf-8")
    return _parse(text, "presets.toml", {})


def from_file(path: Path) -> Mapping[str, Preset]:
    """Read presets from a file of one's own; it may extend the shipped ones.

    Raises:
        PresetError: names the file, the preset and the field.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PresetError(f"{path}: cannot be read ({error})") from error
    base = resources.files("hub.simulator").joinpath("presets.toml").read_text("utf-8")
    return _parse(text, str(path), tomllib.loads(base))


def chosen(names: tuple[str, ...], known: Mapping[str, Preset]) -> list[Preset]:
    """Return the presets of some names.

    Raises:
        PresetError: names the ones that are not known, and those that are.
    """
    unknown = [name for name in names if name not in known]
    if unknown:
        raise PresetError(f"unknown preset {', '.join(unknown)}; known are: {', '.join(known)}")
    return [known[name] for name in names]


def _parse(text: str, source: str, base: dict[str, Any]) -> Mapping[str, Preset]:
    try:
        tables: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PresetError(f"{source}: not TOML: {error}") from error
    presets: dict[str, Preset] = {}
    for name in tables:
        raw = _extended(name, tables, base, source, ())
        try:
            presets[name] = Preset.model_validate({"id": name, **raw})
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise PresetError(f"{source}: preset {name}: {field or 'preset'}: {first['msg']}") from error
    if not presets:
        raise PresetError(f"{source}: holds no preset; write one table per camera, such as [my-camera]")
    return presets


def _extended(
    name: str, tables: dict[str, Any], base: dict[str, Any], source: str, seen: tuple[str, ...]
) -> dict[str, Any]:
    """Return a preset's own table over the one that it extends; tables are merged, lists replaced."""
    table = tables.get(name, base.get(name))
    if not isinstance(table, dict):
        raise PresetError(f"{source}: {name} must be a table that describes a preset")
    own = dict(table)
    parent = own.pop("extends", None)
    if parent is None:
        return own
    if parent in seen or parent == name:
        raise PresetError(f"{source}: preset {name} extends itself through {parent}")
    if parent not in tables and parent not in base:
        raise PresetError(f"{source}: preset {name} extends {parent}, which is not known")
    merged = _extended(parent, tables, base, source, (*seen, name))
    for key, value in own.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = {**merged[key], **value}
        else:
            merged[key] = value
    return merged
