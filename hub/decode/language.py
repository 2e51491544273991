"""What hub and a confined process say to each other, whatever it is for: length-prefixed MessagePack, bounded, checked by type.

`Begin` comes first, answered by `Ready` (or `Failed`, and the process ends). What comes back is checked like any other
hostile input: the process has met a camera's bytes.
"""

from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta

from hub.decode import limits

Asked = TypeVar("Asked", bound=msgspec.Struct)
Told = TypeVar("Told", bound=msgspec.Struct)
Word = Annotated[str, Meta(max_length=300)]


class Begin(msgspec.Struct, frozen=True, tag=True):
    """The first word. `memory` is how many bytes the process may take beyond what it holds when it is confined."""

    memory: int


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The process is confined as far as this machine allows, and has proven that it can do its work."""

    applied: Annotated[tuple[Word, ...], Meta(max_length=32)]
    missing: Annotated[tuple[Word, ...], Meta(max_length=32)]


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The process cannot work; it ends."""

    detail: Word


class Broken(Exception):
    """The other side sent what is no message: the connection cannot be used any more."""


class Language(Generic[Asked, Told]):
    """The messages of one kind of process: what it is asked and what it tells, each with its longest body in bytes.

    `asked` and `told` are unions of tagged structs.
    """

    def __init__(self, process: str, asked: Any, told: Any, *, longest_asked: int, longest_told: int) -> None:
        self.process = process
        self.longest_asked = longest_asked
        self.longest_told = longest_told
        self._encoder = msgspec.msgpack.Encoder()
        self._asked: msgspec.msgpack.Decoder[Asked] = msgspec.msgpack.Decoder(asked)
        self._told: msgspec.msgpack.Decoder[Told] = msgspec.msgpack.Decoder(told)

    def ask(self, message: Asked) -> bytes:
        """Return a message for the process as it goes over the socket.

        Raises:
            ValueError: it is longer than the process takes.
        """
        return self._framed(message, self.longest_asked)

    def tell(self, message: Told) -> bytes:
        """Return a message for the hub as it goes over the socket.

        Raises:
            ValueError: it is longer than the hub takes.
        """
        return self._framed(message, self.longest_told)

    def asked(self, body: bytes) -> Asked:
        """Read what the hub sent.

        Raises:
            Broken: it is no message.
        """
        try:
            return self._asked.decode(body)
        except msgspec.MsgspecError as error:
            raise Broken(f"the hub sent a message that the {self.process} process does not know") from error

    def told(self, body: bytes) -> Told:
        """Read what the process sent.

        Raises:
            Broken: it is no message, or one with values out of range.
        """
        try:
            return self._told.decode(body)
        except msgspec.MsgspecError as error:
            raise Broken(f"the {self.process} process sent a message that this hub does not know") from error

    def _framed(self, message: msgspec.Struct, longest: int) -> bytes:
        body = self._encoder.encode(message)
        if len(body) > longest:
            raise ValueError(
                f"a message of {len(body)} bytes to or from the {self.process} process is longer than {longest}"
            )
        return len(body).to_bytes(limits.LENGTH, "big") + body
