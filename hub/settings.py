"""Settings: read once, at the composition root, from the command line, the environment and one TOML file.

Order, the first wins: what the command line says, ``CAMHUB_*`` variables (nested with ``__``, such as
``CAMHUB_NETWORKS__ALLOW``), the file of ``--config``, the defaults here. A name that is not a setting is refused.
"""

import ipaddress
import json
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from adapters.wire.dialer import AllowRule, NetworkPolicy
from hub.compliance.timetable import Window
from hub.relay.webrtc.turn import checked_url

PREFIX = "CAMHUB_"


class SettingsRefused(Exception):
    """The settings cannot be used. The message names each setting and says what to write instead."""


class Networks(BaseModel):
    """Where cameras may be. Everything private needs to be listed; the hub itself is always refused."""

    model_config = ConfigDict(extra="forbid")

    allow: list[str] = Field(
        default_factory=list, max_length=1000, description="ranges such as 192.168.1.0/24, or host:port"
    )
    public: bool = Field(default=True, description="public addresses may be dialled without being listed")

    @field_validator("allow")
    @classmethod
    def _readable(cls, rules: list[str]) -> list[str]:
        for rule in rules:
            try:
                AllowRule.parse(rule)
            except ValueError as error:
                raise ValueError(f"{rule!r} is not a range such as 192.168.1.0/24 or host:port") from error
        return rules

    def policy(self) -> NetworkPolicy:
        """Return the dialer's policy."""
        return NetworkPolicy.of(self.allow, public=self.public)


class Relay(BaseModel):
    """The WebRTC side."""

    model_config = ConfigDict(extra="forbid")

    host: str = Field(
        default="",
        description='UDP address to bind; "" follows the HTTP host, or every address behind a proxy',
    )
    udp_port: int = Field(
        default=8189,
        ge=0,
        le=65535,
        description="port for media, UDP and TCP, of the first worker; each further one takes the next; 0 picks any",
    )
    workers: int | None = Field(
        default=None,
        ge=1,
        le=64,
        description="processes that relay; by default one per core but one, at least one",
    )
    spare: bool | None = Field(
        default=None,
        description="keep one process more, loaded and idle (40 MB), to take the place of a worker that dies; by default where there is one worker",
    )
    public_addresses: list[str] = Field(
        default_factory=list,
        max_length=16,
        description="addresses told to browsers, where they differ from the bound one",
    )
    rtsp_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="TCP port from which other systems take outputs by RTSP, unencrypted; unset: none; 0 picks one",
    )
    rtsp_host: str = Field(
        default="", description='TCP address to bind for both; "" follows the HTTP host, as for UDP'
    )
    rtsps_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="TCP port from which other systems take outputs by RTSP over TLS; unset: none; 0 picks one",
    )
    rtsps_cert: Path | None = Field(
        default=None,
        description="certificate chain for it, PEM; read again when it changes; default: tls_cert",
    )
    rtsps_key: Path | None = Field(
        default=None, description="its private key, PEM, not encrypted; default: tls_key"
    )
    transcodes: int | None = Field(
        default=None,
        ge=0,
        le=256,
        description="streams recoded at once for browsers; 0 recodes none; by default one per core but one, at least one",
    )
    transcode_width: int = Field(
        default=1280, ge=160, le=3840, description="px; wider pictures are scaled down"
    )
    transcode_fps: int = Field(default=25, ge=1, le=60, description="more pictures a second are thinned out")
    transcode_kbit_s: int = Field(
        default=2000, ge=100, le=50_000, description="at most so many thousand bits a second"
    )

    encoder: Literal["auto", "software", "nvenc", "qsv"] = Field(
        default="auto",
        description="what codes recoded streams: auto = the kernel's video coder where it passes its trial, else libx264; software = libx264; nvenc, qsv = graphics cards, whose drivers cannot be confined as well",
    )
    sounds: int = Field(
        default=8,
        ge=0,
        le=256,
        description="tracks of AAC sound recoded to Opus at once; 0 recodes none",
    )

    push_kbit_s: int = Field(
        default=12_000,
        ge=500,
        le=100_000,
        description="what one encoder that pushes (WHIP) may send at most, in thousand bits a second",
    )

    keep_warm: list[Annotated[str, Field(max_length=64)]] = Field(
        default_factory=list,
        max_length=64,
        description="ids of cameras that are pulled with nobody watching; donated ones only while shared `always`",
    )

    @property
    def gives_rtsp(self) -> bool:
        """Tell whether other systems may take outputs."""
        return self.rtsp_port is not None or self.rtsps_port is not None

    @property
    def keeps_spare(self) -> bool:
        """Tell whether a worker waits in reserve: several take over from each other."""
        return self.spare if self.spare is not None else self.processes == 1

    @property
    def processes(self) -> int:
        """Return how many workers relay."""
        return self.workers if self.workers is not None else min(64, _cores_but_one())

    @property
    def recoded_at_once(self) -> int:
        """Return how many streams are recoded at once."""
        return self.transcodes if self.transcodes is not None else _cores_but_one()

    @model_validator(mode="after")
    def _ports(self) -> "Relay":
        last = self.udp_port + self.processes - 1
        if self.udp_port and last > 65535:
            raise ValueError(
                f"udp_port {self.udp_port} leaves no room for {self.processes} workers, each with the next port: the last would be {last}"
            )
        return self

    @field_validator("public_addresses")
    @classmethod
    def _addresses(cls, addresses: list[str]) -> list[str]:
        for address in addresses:
            try:
                ipaddress.ip_address(address)
            except ValueError as error:
                raise ValueError(f"{address!r} is not an IP address") from error
        return addresses


def _cores_but_one() -> int:
    return max(1, (os.cpu_count() or 1) - 1)


class UplinkSettings(BaseModel):
    """What live pictures may take of the lines of custodians: `docs/design/live.md`, "The line of the house"."""

    model_config = ConfigDict(extra="forbid")

    sub_only_above_hops: int = Field(
        default=1,
        ge=0,
        le=9,
        description="household pictures that cross more lines than this come as the smaller stream; 9: never",
    )
    lines: list[str] = Field(
        default_factory=list,
        max_length=256,
        description="private ranges that are reached over custodians' own lines, such as those of a VPN",
    )
    kbit_s: dict[Literal["household", "shop", "school"], int] = Field(
        default={"household": 3000, "shop": 6000, "school": 12_000},
        description="what all cameras of one custodian may take of its line together; no entry: no bound",
    )
    custodians: dict[Annotated[str, Field(max_length=64)], int] = Field(
        default_factory=dict, max_length=10_000, description="the same for single custodians, by id"
    )

    @field_validator("lines")
    @classmethod
    def _ranges(cls, lines: list[str]) -> list[str]:
        for one in lines:
            try:
                ipaddress.ip_network(one)
            except ValueError as error:
                raise ValueError(f"{one!r} is not a range such as 10.8.0.0/16") from error
        return lines


class Turn(BaseModel):
    """A TURN server (coturn) for viewers whose network lets nothing through to the relay."""

    model_config = ConfigDict(extra="forbid")

    urls: list[str] = Field(
        default_factory=list,
        max_length=8,
        description="turn:, turns: and stun: addresses told to viewers; none by default",
    )
    secret: SecretStr | None = Field(
        default=None,
        description="the server's static-auth-secret; viewers get a credential of one hour made with it",
    )

    @field_validator("urls")
    @classmethod
    def _urls(cls, urls: list[str]) -> list[str]:
        return [checked_url(url) for url in urls]

    @model_validator(mode="after")
    def _whole(self) -> "Turn":
        if any(url.startswith("turn") for url in self.urls) and not self.secret:
            raise ValueError("turn.secret is missing: no viewer could log in to the TURN server")
        return self


class Whep(BaseModel):
    """Players on other sites."""

    model_config = ConfigDict(extra="forbid")

    origins: list[str] = Field(
        default_factory=list,
        max_length=32,
        description="origins such as https://ward.example.vn whose pages may use WHEP here; none by default",
    )

    @field_validator("origins")
    @classmethod
    def _origins(cls, origins: list[str]) -> list[str]:
        for origin in origins:
            if not re.fullmatch(r"https?://[A-Za-z0-9.\-\[\]:]{1,200}", origin):
                raise ValueError(f"{origin!r} is not an origin such as https://ward.example.vn")
        return origins


class Health(BaseModel):
    """The gentle sweep that measures liveness."""

    model_config = ConfigDict(extra="forbid")

    sweep: bool = Field(default=True, description="ask cameras that nobody watches whether they live")
    interval_s: float = Field(
        default=300.0, ge=1.0, le=86_400.0, description="one request per camera in this time, seconds"
    )
    per_second: float = Field(
        default=20.0, gt=0.0, le=1000.0, description="requests per second over all cameras"
    )
    timeout_s: float = Field(default=5.0, ge=0.2, le=30.0, description="longest wait for one answer")


class Events(BaseModel):
    """Events of municipal cameras, by ONVIF PullPoint. Donated cameras are never subscribed to."""

    model_config = ConfigDict(extra="forbid")

    pull: bool = Field(default=True, description="pull the events of admitted municipal cameras")
    at_most: int = Field(
        default=1000, ge=0, le=20_000, description="devices that are subscribed to at the same time"
    )


class Rechecks(BaseModel):
    """Re-checks that repeat by themselves."""

    model_config = ConfigDict(extra="forbid")

    enabled: bool = Field(
        default=True, description="check enrolled cameras again by themselves, as often as their rules ask"
    )
    windows: list[str] = Field(
        default_factory=lambda: ["00:00-05:00"],
        max_length=8,
        description="times of day in Vietnam in which they begin; an empty list means at any time",
    )
    day_windows: list[str] = Field(
        default_factory=lambda: ["09:00-11:00"],
        max_length=8,
        description="times of day in Vietnam in which each camera is checked once a week by daylight too, beside `windows`",
    )
    at_once: int = Field(default=2, ge=1, le=64, description="how many side by side")
    confirm_after_s: float = Field(
        default=2100.0,
        ge=1800.0,
        le=86_400.0,
        description="time between the runs that confirm a worse result, seconds",
    )

    @field_validator("windows", "day_windows")
    @classmethod
    def _readable(cls, windows: list[str]) -> list[str]:
        for one in windows:
            Window.parse(one)
        return windows

    def parsed(self) -> tuple[Window, ...]:
        """Return the windows."""
        return tuple(Window.parse(one) for one in self.windows)

    def by_day(self) -> tuple[Window, ...]:
        """Return the windows of the weekly run by daylight."""
        return tuple(Window.parse(one) for one in self.day_windows)


class Decode(BaseModel):
    """The processes in which pictures are decoded."""

    model_config = ConfigDict(extra="forbid")

    processes: int = Field(
        default=1,
        ge=1,
        le=16,
        description="decode processes; never more than the cores of the machine less one",
    )
    memory_mb: int = Field(default=512, ge=128, le=4096, description="memory that one picture may take, MiB")


class Settings(BaseSettings):
    """Everything that can be set. Times in seconds."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        env_ignore_empty=True,
        validate_default=True,
    )

    data_dir: Path = Field(default=Path("camhub-data"), description="database, keys, relay socket")
    database_url: SecretStr | None = Field(
        default=None, description="SQLAlchemy address; unset means SQLite in data_dir"
    )
    redis_url: SecretStr | None = Field(
        default=None, description="redis:// address; unset means one process is enough"
    )
    host: str = Field(
        default="127.0.0.1", description="address to listen on; beyond this machine only with TLS"
    )
    port: int = Field(default=8080, ge=0, le=65535, description="HTTP port; 0 picks one")
    tls_cert: Path | None = Field(default=None, description="certificate chain, PEM")
    tls_key: Path | None = Field(default=None, description="its private key, PEM")
    behind_proxy: bool = Field(default=False, description="a reverse proxy on this host terminates TLS")
    trusted_proxies: list[str] = Field(
        default_factory=lambda: ["127.0.0.1", "::1"],
        max_length=16,
        description="proxies whose X-Forwarded-* is believed",
    )
    name: str = Field(
        default="camhub", min_length=1, max_length=100, description="this hub's name on its pages"
    )
    area: str = Field(
        default="", max_length=16, description="area code of this hub; new cameras without an area get it"
    )
    locale: Literal["vi", "en"] = Field(default="vi", description="language of new people: vi or en")
    standard: str = Field(default="technical", max_length=64, description="standard of new onboardings")
    packs: list[Path] = Field(
        default_factory=list, max_length=20, description="own rule packs: TOML files, or folders of them"
    )
    log_format: Literal["json", "console"] = Field(
        default="json", description="json or console, on standard error"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="debug, info, warning or error"
    )
    login_hours: float = Field(
        default=12.0,
        gt=0,
        le=720,
        description="a sign-in ends after so many hours without a request, and after 7 days",
    )
    probes_at_once: int = Field(default=8, ge=1, le=64, description="onboardings that probe side by side")
    probe_window_s: float = Field(
        default=8.0, ge=0.0, le=8.0, description="media window of an onboarding probe, seconds"
    )
    check_limit_s: float = Field(
        default=20.0, ge=2.0, le=120.0, description="longest time of one onboarding probe, seconds"
    )
    networks: Networks = Field(default_factory=Networks)
    relay: Relay = Field(default_factory=Relay)
    uplink: UplinkSettings = Field(default_factory=UplinkSettings)
    turn: Turn = Field(default_factory=Turn)
    whep: Whep = Field(default_factory=Whep)
    decode: Decode = Field(default_factory=Decode)
    health: Health = Field(default_factory=Health)
    events: Events = Field(default_factory=Events)
    rechecks: Rechecks = Field(default_factory=Rechecks)
    advisories: Path | None = Field(
        default=None, description="a newer list of known flaws of firmware than the shipped one, TOML"
    )

    @model_validator(mode="after")
    def _whole(self) -> "Settings":
        if (self.tls_cert is None) != (self.tls_key is None):
            missing = "tls_key" if self.tls_key is None else "tls_cert"
            raise ValueError(f"tls_cert and tls_key go together; {missing} is missing")
        if (self.relay.rtsps_cert is None) != (self.relay.rtsps_key is None):
            missing = "rtsps_key" if self.relay.rtsps_key is None else "rtsps_cert"
            raise ValueError(f"relay.rtsps_cert and relay.rtsps_key go together; relay.{missing} is missing")
        if self.relay.rtsps_port is not None and None in self.rtsps_certificate:
            raise ValueError(
                "relay.rtsps_port needs relay.rtsps_cert and relay.rtsps_key, or tls_cert and tls_key"
            )
        return self

    @property
    def rtsps_certificate(self) -> tuple[Path | None, Path | None]:
        """Return certificate chain and key of RTSP over TLS: its own, else those of HTTPS."""
        return self.relay.rtsps_cert or self.tls_cert, self.relay.rtsps_key or self.tls_key

    @property
    def secure(self) -> bool:
        """Tell whether browsers reach this hub over HTTPS."""
        return self.tls_cert is not None or self.behind_proxy

    def database(self) -> str:
        """Return the SQLAlchemy address, with its password: only the store may see it."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite+aiosqlite:///{(self.data_dir / 'camhub.db').absolute()}"

    def check_exposure(self) -> None:
        """Refuse to listen beyond this machine without TLS.

        Raises:
            SettingsRefused: says which settings would allow it.
        """
        if self.secure or _is_loopback(self.host):
            return
        raise SettingsRefused(
            f"camhub does not listen on {self.host} without TLS: passwords and pictures would travel in the clear. "
            "Give --tls-cert and --tls-key, or --behind-proxy where a reverse proxy on this machine terminates TLS, "
            "or keep --host 127.0.0.1."
        )

    @classmethod
    def load(cls, config: Path | None = None, /, **given: Any) -> "Settings":
        """Read the settings. `given` comes from the command line; None means not given.

        Raises:
            SettingsRefused: a file that cannot be read, an unknown name, or a value that does not fit.
        """
        from_file: dict[str, Any] = {}
        if config is not None:
            try:
                from_file = tomllib.loads(config.read_text("utf-8"))
            except OSError as error:
                raise SettingsRefused(
                    f"the settings file {config} cannot be read: {error.strerror}"
                ) from error
            except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
                raise SettingsRefused(f"the settings file {config} is not TOML: {error}") from error
        unknown = unknown_variables(os.environ.keys())
        if unknown:
            raise SettingsRefused(
                f"unknown setting in the environment: {', '.join(unknown)}. "
                f"Known: {', '.join(sorted(known_variables()))}"
            )

        class Loaded(cls):  # type: ignore[valid-type, misc]  # only to add the file as a source
            @classmethod
            def settings_customise_sources(
                cls,
                settings_cls: type[BaseSettings],
                init_settings: PydanticBaseSettingsSource,
                env_settings: PydanticBaseSettingsSource,
                dotenv_settings: PydanticBaseSettingsSource,
                file_secret_settings: PydanticBaseSettingsSource,
            ) -> tuple[PydanticBaseSettingsSource, ...]:
                return (init_settings, env_settings, lambda: from_file)  # type: ignore[return-value]

        try:
            loaded: Settings = Loaded(**{name: value for name, value in given.items() if value is not None})
        except ValidationError as error:
            raise SettingsRefused(_sentences(error, config)) from error
        return loaded


def documented() -> list[str]:
    """Return the rows of the settings table (docs/ref/settings.md): variable, default, meaning."""
    rows = []
    for name, field in Settings.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            inner = [(f"{name}__{one}", told) for one, told in kind.model_fields.items()]
        else:
            inner = [(name, field)]
        for full, told in inner:
            default = told.get_default(call_default_factory=True)
            shown = "" if default in (None, "") else f"`{json.dumps(default, default=str)}`"
            rows.append(f"| `{PREFIX}{full.upper()}` | {shown} | {told.description or ''} |")
    return rows


def known_variables() -> frozenset[str]:
    """Return the names of all environment variables that are settings."""
    names: set[str] = set()
    for name, field in Settings.model_fields.items():
        names.add(f"{PREFIX}{name.upper()}")
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            names.update(f"{PREFIX}{name.upper()}__{inner.upper()}" for inner in kind.model_fields)
    return frozenset(names)


def unknown_variables(names: Any) -> list[str]:
    """Return the ``CAMHUB_*`` names that are no settings. ``CAMHUB_TEST_*`` is left to the tests."""
    known = known_variables()
    return sorted(
        name
        for name in names
        if name.upper().startswith(PREFIX)
        and not name.upper().startswith(f"{PREFIX}TEST_")
        and name.upper() not in known
    )


def _sentences(error: ValidationError, config: Path | None) -> str:
    where = f" (read from {config}, the environment and the command line)" if config else ""
    parts = []
    for item in error.errors(include_url=False, include_input=False):
        name = ".".join(str(part) for part in item["loc"]) or "settings"
        if item["type"] == "extra_forbidden":
            parts.append(f"{name} is not a setting")
        else:
            parts.append(f"{name}: {item['msg'].removeprefix('Value error, ')}")
    return "; ".join(parts) + where


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
