"""One scripted camera: its servers, its switches and what it has counted."""

from adapters.clock import Clock
from hub.simulator.device import Counters, Device, new_password
from hub.simulator.events import Happenings
from hub.simulator.onvif import OnvifServer
from hub.simulator.presets import Preset
from hub.simulator.ptz import Head
from hub.simulator.rtsp import RtspServer
from hub.simulator.silent import SilentServer
from hub.simulator.studio import Studio


class ScriptedCamera:
    """A real ONVIF and RTSP server on one address. Give several cameras one `Studio`, and they share encoders.

    The switches act at once and may be used while somebody watches:

    - `media_paused`: sessions stay open, no media is sent
    - `refuse_all`: every login is refused
    - `clock_offset_s`: how far the camera's clock is ahead
    - `change_nonce()`, `kill()`, `restart()`
    - `happenings`: what the camera notices; `head`: where it looks and what it was told
    """

    def __init__(
        self,
        preset: Preset,
        clock: Clock,
        *,
        studio: Studio | None = None,
        host: str = "127.0.0.1",
        onvif_port: int = 0,
        rtsp_port: int = 0,
        user: str = "admin",
        password: str | None = None,
        number: int = 1,
    ) -> None:
        self._own_studio = studio is None
        self.device = Device(
            preset,
            clock,
            studio or Studio(clock),
            user,
            password or new_password(),
            preset.clock.offset_s,
            number,
            host,
            onvif_port,
            rtsp_port,
        )
        self._servers: list[OnvifServer | RtspServer | SilentServer] = []
        self._onvif: OnvifServer | SilentServer | None = None
        self._rtsp: RtspServer | None = None
        if preset.dead:
            self._onvif = SilentServer(self.device)
        else:
            if preset.onvif is not None:
                self._onvif = OnvifServer(self.device)
            self._rtsp = RtspServer(self.device)

    async def start(self) -> None:
        """Listen; afterwards the ports are known.

        Raises:
            OSError: the address or port cannot be had.
        """
        device = self.device
        try:
            if self._rtsp is not None:
                device.rtsp_port = await self._rtsp.start(device.host, device.rtsp_port)
            if self._onvif is not None:
                device.onvif_port = await self._onvif.start(device.host, device.onvif_port)
        except OSError:
            await self.kill()
            raise

    async def stop(self) -> None:
        """Stop for good."""
        await self.kill()
        if self._own_studio:
            await self.device.studio.aclose()

    async def kill(self) -> None:
        """Vanish as by a pulled plug: connections are cut, nothing listens. `restart` brings the camera back."""
        self.device.happenings.close()
        for server in (self._onvif, self._rtsp):
            if server is not None:
                await server.kill()

    async def restart(self) -> None:
        """Come back on the same ports."""
        await self.start()

    def change_nonce(self) -> None:
        """Make every nonce that was given out stale."""
        if self._rtsp is not None:
            self._rtsp.verifier.forget_nonces()
        if isinstance(self._onvif, OnvifServer):
            self._onvif.verifier.forget_nonces()

    def pause_media(self) -> None:
        """Stall: sessions stay open, no media is sent."""
        self.device.media_paused = True

    def resume_media(self) -> None:
        """Send again, from the next key frame on."""
        self.device.media_paused = False

    @property
    def refuse_all(self) -> bool:
        """Tell whether every login is refused."""
        return self.device.refuse_all

    @refuse_all.setter
    def refuse_all(self, value: bool) -> None:
        self.device.refuse_all = value

    @property
    def clock_offset_s(self) -> float:
        """Return how far the camera's clock is ahead, in seconds."""
        return self.device.clock_offset_s

    @clock_offset_s.setter
    def clock_offset_s(self, value: float) -> None:
        self.device.clock_offset_s = value

    @property
    def preset(self) -> Preset:
        """Return what the camera was made from."""
        return self.device.preset

    @property
    def user(self) -> str:
        """Return the account's name."""
        return self.device.user

    @property
    def password(self) -> str:
        """Return the account's password."""
        return self.device.password

    @property
    def name(self) -> str:
        """Return a name for people."""
        number = self.device.number
        return self.preset.title if number == 1 else f"{self.preset.title} {number}"

    @property
    def counters(self) -> Counters:
        """Return what the camera has seen so far."""
        return self.device.counters

    @property
    def happenings(self) -> Happenings:
        """Return what the camera notices, to let something happen."""
        return self.device.happenings

    @property
    def head(self) -> Head:
        """Return the moving head."""
        return self.device.head

    @property
    def playing(self) -> int:
        """Return how many RTSP sessions play."""
        return self._rtsp.playing if self._rtsp is not None else 0

    @property
    def onvif_url(self) -> str | None:
        """Return ``onvif://host:port``, or None where the camera has no ONVIF."""
        return f"onvif://{self._authority(self.device.onvif_port)}" if self._onvif is not None else None

    @property
    def rtsp_url(self) -> str | None:
        """Return the address of the main stream, without credential."""
        return self._stream_url("main")

    @property
    def sub_url(self) -> str | None:
        """Return the address of the sub-stream, or None where there is none."""
        return self._stream_url("sub")

    def _stream_url(self, layer: str) -> str | None:
        stream = self.preset.stream(layer)
        if self._rtsp is None or stream is None:
            return None
        scheme = "rtsp" if self.preset.rtsp.line == "plain" else "rtsps"
        return f"{scheme}://{self._authority(self.device.rtsp_port)}{stream.path}"

    def _authority(self, port: int) -> str:
        host = self.device.host
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
