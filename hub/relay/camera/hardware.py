"""Which hardware is tried for the transcodes of one worker, what came of it, and what is left alone for a while."""

from typing import Final

import structlog

from hub.decode.coders.kinds import SOFTWARE, kind_of, may_be_there
from hub.decode.recode_messages import Coder

log = structlog.get_logger(__name__)

ASIDE_S: Final = 600.0  # hardware that did not pass its trial, or failed, is not tried again before
_SOFTWARE: Final = Coder(SOFTWARE.encoder)


class Hardware:
    """What this worker knows of the machine's coders. Times are monotonic seconds."""

    def __init__(self) -> None:
        self.streams = 0  # that are coded by hardware now
        self.failed = 0  # coders that failed over a stream which they had coded
        self.last: Coder | None = (
            None  # what codes the stream of which news came last; None: none was coded yet
        )
        self._aside_until_s = float("-inf")

    def kind(self, setting: str, now_s: float) -> str:
        """Return the kind that is to be tried for another stream; "" where libx264 alone codes, and `last` says why."""
        kind = kind_of(setting)
        if kind is None:
            self.last = _SOFTWARE
        elif not may_be_there(kind):
            self.last = Coder(SOFTWARE.encoder, why=f"{kind.name}: there is no device")
        elif now_s >= self._aside_until_s:
            self.last = Coder(SOFTWARE.encoder, why=f"{kind.name} is being tried")
            return kind.name
        return ""

    def told(self, coder: Coder, peer: str, now_s: float) -> None:
        """Take what a recoding process says of the coder of its stream."""
        self.last = coder
        if coder.hardware:
            log.info(
                "relay.transcode.coder",
                peer=peer,
                coder=coder.name,
                device=coder.device,
                confined=coder.applied,
                missing=coder.missing,
            )
            return
        if coder.aside:
            self._aside_until_s = now_s + ASIDE_S
        log.warning(
            "relay.transcode.no_hardware",
            peer=peer,
            coder=coder.name,
            device=coder.device,
            why=coder.why,
            again_after_s=ASIDE_S if coder.aside else 0.0,
        )
