"""A recoding process: ``python -m hub.decode.recode_worker [CODING_FD] FD``, for one stream of one camera.

It confines itself like a decode process (`worker.py`): no store, no key, no credential, no network and no file.
`CODING_FD` is a socket of a coding process (`coders/worker.py`), which gets pixels from here and nothing else.
"""

import signal
import sys
from collections.abc import Sequence
from typing import Final

import av

from adapters.clock import SystemClock
from hub.decode import inherited
from hub.decode import recode_messages as m
from hub.decode.coders.remote import RemoteCoder
from hub.decode.confine import KEPT_DESCRIPTOR, allow_processor, confine, keep_only
from hub.decode.errors import NotDecodable
from hub.decode.language import Begin, Failed, Ready
from hub.decode.recoder import PictureRecoder, SoundRecoder, prove

_UNIT_CPU_S: Final = 10  # processor time of one unit: one that takes it all is an attack, or a bug
_FAILED, _MEMORY = 1, 3  # exit statuses


def main(arguments: Sequence[str]) -> int:
    """Run a recoding process on an inherited descriptor."""
    # A terminal's Ctrl-C and a service manager reach the whole group: the hub decides, by closing the socket.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    av.logging.set_level(None)
    keep_only(*map(int, reversed(arguments)))
    coding = KEPT_DESCRIPTOR + 1 if len(arguments) > 1 else None
    begin, how = inherited.hear(m.LANGUAGE), inherited.hear(m.LANGUAGE)
    if not isinstance(begin, Begin) or not isinstance(how, m.OpenPicture | m.OpenSound):
        return _FAILED
    try:
        prove(how)  # also loads whatever loads late: afterwards no file can be opened
        remote = RemoteCoder(coding, SystemClock().monotonic) if coding is not None else None
        held = confine(begin.memory, last=coding or KEPT_DESCRIPTOR)
        allow_processor(_UNIT_CPU_S)
        prove(how)
        recoder = PictureRecoder(how, remote) if isinstance(how, m.OpenPicture) else SoundRecoder(how)
    except Exception as error:  # noqa: BLE001  said to the hub, which says it to people
        inherited.say(m.LANGUAGE, Failed(f"{type(error).__name__}: {error}"[:300]))
        return _FAILED
    inherited.say(m.LANGUAGE, Ready(held.applied, held.missing))
    while isinstance(unit := inherited.hear(m.LANGUAGE), m.Unit):
        allow_processor(_UNIT_CPU_S)
        try:
            coded, fault = recoder.take(unit.timestamp, unit.nals, show=unit.show, key=unit.key), ""
        except NotDecodable as error:
            coded, fault = [], str(error)[:300]
        except MemoryError:
            return _MEMORY
        news = recoder.news() if isinstance(recoder, PictureRecoder) else None
        inherited.say(m.LANGUAGE, m.Done(unit.number, tuple(coded), fault, news))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
