"""Many scripted cameras in one process, sharing one studio."""

from collections.abc import Sequence

from adapters.clock import Clock
from hub.simulator.camera import ScriptedCamera
from hub.simulator.discovery import DiscoveryResponder
from hub.simulator.presets import Preset
from hub.simulator.studio import Studio


class Fleet:
    """Cameras that start and stop together. Cameras of one preset show the same picture from one encoder."""

    def __init__(
        self,
        presets: Sequence[Preset],
        clock: Clock,
        *,
        count: int = 1,
        host: str = "127.0.0.1",
        first_port: int = 0,
        discoverable: bool = False,
    ) -> None:
        """Prepare `count` cameras of each preset; `first_port` 0 takes free ports, else they go upwards from it.

        `discoverable` cameras answer WS-Discovery on the host's network.
        """
        self.studio = Studio(clock)
        self.cameras: list[ScriptedCamera] = []
        port = first_port
        for preset in presets:
            for number in range(1, count + 1):
                has_onvif, has_rtsp = preset.onvif is not None or preset.dead, not preset.dead
                onvif_port = port if port and has_onvif else 0
                port += bool(onvif_port)
                rtsp_port = port if port and has_rtsp else 0
                port += bool(rtsp_port)
                self.cameras.append(
                    ScriptedCamera(
                        preset,
                        clock,
                        studio=self.studio,
                        host=host,
                        onvif_port=onvif_port,
                        rtsp_port=rtsp_port,
                        number=number,
                    )
                )

        self._responder = DiscoveryResponder(self.cameras, host) if discoverable else None

    async def start(self) -> None:
        """Start every camera; on an error the ones that run are stopped again.

        Raises:
            OSError: an address or port cannot be had.
        """
        try:
            for camera in self.cameras:
                await camera.start()
            if self._responder is not None:
                await self._responder.start()
        except OSError:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Stop every camera and encoder."""
        if self._responder is not None:
            await self._responder.aclose()
        for camera in self.cameras:
            await camera.stop()
        await self.studio.aclose()
