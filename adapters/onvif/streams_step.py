"""The streams of a device: which video source is the camera, and the addresses of its main and sub stream.

A recorder or multi-sensor camera lists the profiles of many sources on one address (quirk 49). One of them is the
camera of this probe: the one that was asked for, else the first. An extended probe also reads the addresses of the
others, so that each can be taken in as a camera of its own.
"""

from collections.abc import Callable

from adapters.errors import AdapterError, BadTarget
from adapters.onvif import mapping
from adapters.onvif.addresses import AddressBook
from adapters.onvif.mapping import MediaProfile
from adapters.onvif.media import MediaReader, sources_of, streams_of
from adapters.onvif.steps import Ended, Kit
from adapters.port import StreamOffer
from standards.observation import freeze
from standards.reason import Reason

MAX_SOURCES = 64  # a recorder's channels whose addresses an extended probe reads
_CLAIMS = {
    "claimed_encoding": "encoding",
    "claimed_width": "width",
    "claimed_height": "height",
    "claimed_fps": "fps",
    "claimed_bitrate_kbps": "bitrate_kbps",
    "claimed_gov_length": "gov_length",
}


class StreamsStep:
    """Reads MediaProfiles and stream addresses; `offers` begins with the streams of the camera itself."""

    def __init__(self, kit: Kit, addresses: AddressBook) -> None:
        self._kit = kit
        self._facts = kit.facts
        self._addresses = addresses
        self.offers: tuple[StreamOffer, ...] = ()
        self.source = ""  # token of the video source that is the camera

    async def profiles(self, media: MediaReader) -> None:
        """Read the MediaProfiles, of media2 first where it is there (quirks 44-46)."""
        facts = ("onvif.media_profiles", "onvif.encodings", "media.video_sources", "media.metadata")
        try:
            await media.read_profiles()
        except AdapterError as error:
            self._facts.failed(facts, error, media.profiles_operation)
            self._kit.end_if_final(error, media.profiles_operation)
            return
        operation, http = media.profiles_operation, media.profiles_http
        listed = [
            {
                "token": item.token,
                "name": item.name,
                "source": item.source,
                "encoding": item.encoding,
                "width": item.width,
                "height": item.height,
                "fps": item.fps,
                "bitrate_kbps": item.bitrate_kbps,
                "gov_length": item.gov_length,
                "service": item.service,
            }
            for item in media.profiles
        ]
        encodings = tuple(sorted({item.encoding for item in media.profiles if item.encoding}))
        self._facts.saw("onvif.media_profiles", freeze(listed), operation, http)
        self._facts.saw("onvif.encodings", encodings, operation, http)
        self._facts.saw("media.metadata", any(item.metadata for item in media.profiles), operation, http)
        sources = sources_of(media.profiles)
        if sources:
            self._facts.saw("media.video_sources", len(sources), operation, http)
        else:
            detail = f"{operation}: no MediaProfile names its video source"
            self._facts.missed(("media.video_sources",), Reason.EMPTY_REPLY, detail, operation)
        self._choose(sources)

    def _choose(self, sources: tuple[str, ...]) -> None:
        wanted = self._kit.request.video_source or self._kit.request.target.source
        if wanted and wanted not in sources:
            peer = self._kit.request.target.authority
            named = ", ".join(token[:64] for token in sources[:16]) or "none"
            error = BadTarget(
                f"{peer} has no video source {wanted[:64]!r}",
                peer=peer,
                operation="choose the video source",
                hint=f"Video sources of this device: {named}",
            )
            raise Ended(error, "choose the video source")
        self.source = wanted or next(iter(sources), "")

    async def addresses(self, media: MediaReader) -> None:
        """Read the addresses of the camera's main and sub stream; that of the main one twice (STR-02)."""
        main, sub = streams_of(media.profiles, self.source)
        offers: list[StreamOffer] = []
        for layer, profile in (("main", main), ("sub", sub)):
            if profile is None:
                self._no_profile(layer, media)
                continue
            self._claims(layer, profile, media)
            try:
                offer = await self._offer(layer, profile, media)
            except AdapterError as error:
                operation = media.stream_operation
                if layer == "main":
                    self._facts.failed(_URI_FACTS, error, operation)
                self.offers = tuple(offers)
                self._kit.end_if_final(error, operation)
                continue
            if offer is not None:
                offers.append(offer)
        self.offers = tuple(offers)

    async def others(self, media: MediaReader, may_ask: Callable[[], bool]) -> None:
        """Read the addresses of the device's other video sources; what fails there costs that offer alone."""
        others = [token for token in sources_of(media.profiles) if token != self.source][:MAX_SOURCES]
        for source in others:
            for layer, profile in zip(("main", "sub"), streams_of(media.profiles, source), strict=True):
                if profile is None:
                    continue
                if not may_ask():
                    return
                try:
                    told = mapping.uri(await media.stream_uri(profile))
                except AdapterError:
                    continue
                offer = self._offered(layer, profile, told)
                if offer is not None:
                    self.offers = (*self.offers, offer)

    def _no_profile(self, layer: str, media: MediaReader) -> None:
        if media.profiles_http is None:
            return  # GetProfiles failed: the end of the probe says so
        operation = media.profiles_operation
        number = len(media.profiles)
        detail = f"{operation}: {number or 'no'} MediaProfile(s), none for the {layer} stream"
        facts = tuple(f"stream.{layer}.{name}" for name in _CLAIMS)
        if layer == "main":
            facts += _URI_FACTS
        self._facts.missed(facts, Reason.DENIED_BY_DEVICE, detail, operation)

    def _claims(self, layer: str, profile: MediaProfile, media: MediaReader) -> None:
        operation = media.profiles_operation
        for name, field in _CLAIMS.items():
            fact, value = f"stream.{layer}.{name}", getattr(profile, field)
            if value:
                self._facts.saw(fact, value, operation, media.profiles_http)
            else:
                detail = f"{operation}: MediaProfile {profile.token} does not tell it"
                self._facts.missed((fact,), Reason.EMPTY_REPLY, detail, operation)

    async def _offer(self, layer: str, profile: MediaProfile, media: MediaReader) -> StreamOffer | None:
        reply = await media.stream_uri(profile)
        operation: object = reply.operation
        told = mapping.uri(reply)
        if layer == "main":
            again = mapping.uri(await media.stream_uri(profile))
            self._facts.saw("onvif.stream_uri_stable", told == again, operation, reply.http)
            octets = self._addresses.octets(told)
            if octets:
                self._facts.saw("onvif.stream_uri_octets", octets, operation, reply.http)
        offer = self._offered(layer, profile, told)
        if offer is None and layer == "main":
            detail = f"{operation}: the answer holds no RTSP address"
            self._facts.missed(_URI_FACTS, Reason.EMPTY_REPLY, detail, operation)
        return offer

    def _offered(self, layer: str, profile: MediaProfile, told: str) -> StreamOffer | None:
        target = self._addresses.stream(told)
        if target is None:
            return None
        return StreamOffer(
            target,
            layer,
            profile.encoding,
            profile.width,
            profile.height,
            profile.token,
            profile.source,
            self._addresses.named(told),
        )

    async def over_https(self, media: MediaReader, https_ports: tuple[int, ...]) -> None:
        """Ask for the tunnelled address of the main stream: HTTPS, by its scheme or its port (STR-14)."""
        fact = "media.rtsp_over_https"
        main, _sub = streams_of(media.profiles, self.source)
        if main is None:
            self._facts.missed(
                (fact,), Reason.NOT_ASKED, "no MediaProfile to ask for", media.stream_operation
            )
            return
        try:
            reply = await media.tunnel_uri(main)
        except AdapterError as error:
            self._facts.failed((fact,), error, media.stream_operation)
            return
        named = self._addresses.peek(mapping.uri(reply))
        if named is None:
            detail = f"{reply.operation}: the answer holds no address"
            self._facts.missed((fact,), Reason.EMPTY_REPLY, detail, reply.operation)
            return
        secure = named.scheme in {"https", "rtsps"} or named.port in https_ports
        self._facts.saw(fact, secure, reply.operation, reply.http)


_URI_FACTS = ("onvif.stream_uri_stable", "onvif.stream_uri_octets")

__all__ = ["MAX_SOURCES", "StreamsStep"]
