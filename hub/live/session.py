"""One view, as the hub keeps it while it runs and for a while after."""

from dataclasses import dataclass, field
from datetime import datetime

from hub.access.decide import Ask
from hub.feeds import Feeds
from hub.live.receipts import View


@dataclass(frozen=True, slots=True)
class Terms:
    """What a view hangs on besides the person. `login`: a sign-in, a token or an output, asked of `people`."""

    login: str = ""
    recipient: str = ""  # named where the picture goes to somebody else than the person
    until: datetime | None = None  # when it is over in any case


@dataclass(slots=True, eq=False)
class ViewerSession:
    """One view that runs, or ran."""

    id: str
    camera_id: str
    ask: Ask
    kind: str  # live | test
    view: View
    terms: Terms
    started_s: float
    max_s: float | None
    state: str = "opening"  # opening | live | frozen | offline | paused | ended
    since: datetime | None = None
    code: str = ""
    wanted: str = "main"  # layer: main | sub | auto
    layer: str = "main"  # the one that is played
    layer_code: str = ""  # why it is this one, where it is not the one wanted
    rendition: str = "copy"  # copy | transcode
    codec: str = "H264"  # of what is sent
    why: str = (
        ""  # why the stream wanted is not sent as the camera sends it (`hub.relay.camera.processing.WHY`)
    )
    key_frames_s: float = 0.0  # from one key frame of the camera to the next where that is long, else 0
    audio: bool = False  # it may be heard too
    sound: str = ""  # on, or why nothing is heard (`hub.relay.events.LayerChanged`); "" until that is known
    ice: int = 1  # counts ICE restarts; its ETag
    ended: bool = False
    feeds: Feeds = field(default_factory=Feeds)

    @property
    def user_id(self) -> str:
        """Return whose session it is."""
        return self.ask.principal.user_id

    @property
    def etag(self) -> str:
        """Return the strong validator of its ICE session (RFC 9725 4.3.1)."""
        return f'"{self.id}.{self.ice}"'
