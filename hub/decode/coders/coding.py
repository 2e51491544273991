"""What codes a stream's pictures: libx264 from the first one on, hardware from a key frame on once it has passed its trial.

If hardware then fails, libx264 codes that very picture as a key frame; hardware is not taken again for this stream.
"""

from av.video.frame import VideoFrame

from hub.decode.coders.coder import PictureCoder
from hub.decode.coders.kinds import SOFTWARE
from hub.decode.coders.messages import Wanted
from hub.decode.coders.remote import CoderLost, RemoteCoder
from hub.decode.recode_messages import Coded, Coder


class Coding:
    """The coder of one stream. `remote` is the coding process beside, where there is one."""

    def __init__(self, remote: RemoteCoder | None = None) -> None:
        self._remote = remote
        self._wanted: Wanted | None = None
        self._coder: PictureCoder | RemoteCoder | None = None
        self._news: Coder | None = None

    def expect(self, wanted: Wanted) -> None:
        """Code pictures like this from now on.

        Raises:
            NotDecodable: libx264 would not open.
        """
        changed = self._wanted is not None
        self._wanted = wanted
        self._coder = PictureCoder(SOFTWARE, wanted)
        if self._remote is None:
            return
        if changed:  # what is confined around one open device opens no other
            self._lost(CoderLost("the camera changed the size of its picture", "", lasting=False))
            return
        try:
            self._remote.want(wanted)
        except CoderLost as error:
            self._lost(error)

    def code(self, picture: VideoFrame, at: int, *, key: bool) -> list[Coded]:
        """Code a picture of pixel format yuv420p; `expect` came before.

        Raises:
            NotDecodable: it cannot be coded.
            MemoryError: the process may not have as much memory as it took.
        """
        if key:
            self._look()
        if self._coder is self._remote and self._remote is not None:
            try:
                return self._remote.code(picture, at, key=key)
            except CoderLost as error:
                self._lost(error)
                key = True
        assert isinstance(self._coder, PictureCoder)
        return self._coder.code(picture, at, key=key)

    def news(self) -> Coder | None:
        """Return what codes now, where that is not yet told."""
        told, self._news = self._news, None
        return told

    def _look(self) -> None:
        """Take hardware that has passed its trial meanwhile."""
        if self._remote is None or self._coder is self._remote:
            return
        try:
            opened = self._remote.opened()
        except CoderLost as error:
            self._lost(error)
            return
        if opened is not None:
            self._coder, self._news = self._remote, opened

    def _lost(self, error: CoderLost) -> None:
        """Code with libx264 for good."""
        assert self._remote is not None
        assert self._wanted is not None
        self._remote.close()
        self._remote = None
        if not isinstance(self._coder, PictureCoder):
            self._coder = PictureCoder(SOFTWARE, self._wanted)
        self._news = Coder(SOFTWARE.encoder, error.device, str(error)[:300], error.lasting)
