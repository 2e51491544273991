"""Sessions that a camera may still believe in: wait for their end before the next one (quirk 15).

live555 before 2017-06-04 goes on sending to a TCP connection that was closed without TEARDOWN. Its descriptor is
soon somebody else's, and the old media turn up in unrelated connections until the session times out (retina's
`SessionGroup` has the same remedy).
"""

import re

from adapters.errors import AdapterError
from standards.reason import Reason

FIXED_IN = (2017, 6, 4)  # live555 changelog
MARGIN_S = 5.0  # beyond the session timeout, which such servers check every few seconds
_MAX_DEVICES = 4096
_VERSION = re.compile(r"LIVE555 Streaming Media v(\d{4})\.(\d{2})\.(\d{2})", re.IGNORECASE)


class StaleSession(AdapterError):
    """An earlier session ended without TEARDOWN on a server that keeps sending to it. Nothing was sent."""

    code = "stale_session"
    reason = Reason.DEVICE_FAULT
    retryable = True


class StaleSessions:
    """Until when each device is left alone. Kept by the adapter for the life of the process."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def left(self, device: str, now_s: float, timeout_s: float) -> None:
        """Note that a session was left without TEARDOWN."""
        self._until = {key: until for key, until in self._until.items() if until > now_s}
        if len(self._until) < _MAX_DEVICES:
            self._until[device] = now_s + timeout_s + MARGIN_S

    def check(self, device: str, now_s: float, *, peer: str) -> None:
        """Refuse to connect while the camera may still send the media of an earlier session.

        Raises:
            StaleSession: says for how long.
        """
        left_s = self._until.get(device, now_s) - now_s
        if left_s > 0:
            raise StaleSession(
                f"{peer} may still send an earlier session's media into new connections; it is left alone for "
                f"{left_s:.0f} s",
                peer=peer,
                operation="RTSP connect",
                hint="Update the camera's firmware: its RTSP server (live555) is older than June 2017",
            )


def keeps_sending(*told: str) -> bool:
    """Tell whether a Server header or an SDP's ``a=tool`` names a live555 that has the fault."""
    for text in told:
        found = _VERSION.search(text[:512])
        if found is not None and tuple(map(int, found.groups())) < FIXED_IN:
            return True
    return False
