"""Media and media2: profiles, stream addresses and snapshot addresses, by the service that works on this device."""

from collections.abc import Mapping
from dataclasses import replace

from adapters.errors import (
    AdapterError,
    AuthenticationFailed,
    CameraFault,
    CoolingDown,
    RemoteProtocolError,
    Unsupported,
)
from adapters.onvif import mapping, operations, templates
from adapters.onvif.mapping import MediaProfile
from adapters.onvif.operations import Operation
from adapters.onvif.reply import Reply
from adapters.onvif.session import OnvifSession
from adapters.onvif.soap import Wsdl
from adapters.wire.http import HttpReply

_NOT_RELAYED = frozenset({"JPEG", "MPEG4"})
ENCODERS_ASKED = 8  # profiles whose encoder is asked for one by one, where nothing else tells it


class MediaReader:
    """Reads through media2 where the device lists it (H.265, Profile T), else through media."""

    def __init__(self, session: OnvifSession, wsdl: Wsdl, services: Mapping[str, None]) -> None:
        self._session = session
        self._wsdl = wsdl
        self._media2 = "media2" in services
        self._media = "media" in services or not self._media2
        self.profiles: tuple[MediaProfile, ...] = ()
        self.profiles_http: HttpReply | None = None
        self.uses_media2 = self._media2
        self._told_by_media2 = False
        self._tokens: dict[str, str] = {}  # what a device takes for a profile's token (quirk 47)

    @property
    def profiles_operation(self) -> Operation:
        """Return the GetProfiles in use: media's where both are there and nothing was read yet."""
        if self.profiles_http is not None:
            return operations.MEDIA2_GET_PROFILES if self._told_by_media2 else operations.MEDIA_GET_PROFILES
        return operations.MEDIA_GET_PROFILES if self._media else operations.MEDIA2_GET_PROFILES

    @property
    def profiles_body(self) -> bytes:
        """Return the body for the anonymous test: the plainest form of `profiles_operation`."""
        if self.profiles_operation.service == "media2":
            return templates.media2_get_profiles()
        return self._wsdl.render(operations.MEDIA_GET_PROFILES)

    @property
    def stream_operation(self) -> Operation:
        """Return the GetStreamUri in use."""
        return operations.MEDIA2_GET_STREAM_URI if self.uses_media2 else operations.MEDIA_GET_STREAM_URI

    @property
    def snapshot_operation(self) -> Operation:
        """Return the GetSnapshotUri in use."""
        return operations.MEDIA2_GET_SNAPSHOT_URI if self.uses_media2 else operations.MEDIA_GET_SNAPSHOT_URI

    async def read_profiles(self) -> None:
        """Fill `profiles` from the service that tells most.

        Raises:
            AdapterError: neither service told any profile; the error of the one asked last.
        """
        failure: AdapterError | None = None
        second: tuple[tuple[MediaProfile, ...], HttpReply] | None = None
        if self._media2:
            try:
                found, http = await self._profiles_of_media2()
                if any(profile.encoding for profile in found) or not self._media:
                    self._keep(found, http, media2=True)
                    return
                second = (found, http) if found else None
            except AdapterError as error:
                failure = self._bearable(error)
        if self._media:
            try:
                reply = await self._session.ask(
                    operations.MEDIA_GET_PROFILES, self._wsdl.render(operations.MEDIA_GET_PROFILES)
                )
                found = mapping.media_profiles(reply)
                if found or second is None:
                    self._keep(found, reply.http, media2=False)
                    return
            except AdapterError as error:
                failure = self._bearable(error)
        if second is not None:
            self._keep(*second, media2=True)
        elif failure is not None:
            raise failure

    def _keep(self, profiles: tuple[MediaProfile, ...], http: HttpReply, *, media2: bool) -> None:
        self.profiles, self.profiles_http, self.uses_media2 = profiles, http, media2
        self._told_by_media2 = media2

    def _bearable(self, error: AdapterError) -> AdapterError:
        """Return an error after which the other service may be asked; raise the others."""
        if isinstance(error, (AuthenticationFailed, CoolingDown)) or self._session.stopped is not None:
            raise error
        if self._session.login.failure is error:
            raise error
        return error

    async def _profiles_of_media2(self) -> tuple[tuple[MediaProfile, ...], HttpReply]:
        """Ask with Type=All once, then for encoders only, then per profile (quirk 46), until encoders are told."""
        best: tuple[tuple[MediaProfile, ...], HttpReply] | None = None
        failure: AdapterError | None = None
        for types in (("All",), ("VideoSource", "VideoEncoder")):
            try:
                reply = await self._session.ask(
                    operations.MEDIA2_GET_PROFILES,
                    templates.media2_get_profiles(*types),
                    fragile=types == ("All",),
                )
            except AdapterError as error:
                failure = self._bearable(error)
                if types == ("All",):
                    self._session.quirks["media2_type_all_fails"] = None
                continue
            found = mapping.media2_profiles(reply)
            if any(profile.encoding for profile in found):
                return found, reply.http
            if best is None or len(found) > len(best[0]):
                best = (found, reply.http)
        if best is None:
            assert failure is not None
            raise failure
        if best[0]:
            self._session.quirks["media2_profiles_without_encoders"] = None
        if best[0] and not self._media:
            return await self._one_by_one(best[0]), best[1]
        return best

    async def _one_by_one(self, profiles: tuple[MediaProfile, ...]) -> tuple[MediaProfile, ...]:
        """Ask the encoder of each profile; taken only where the device names exactly one, or the profile's own."""
        filled: list[MediaProfile] = []
        for at, profile in enumerate(profiles):
            if at >= ENCODERS_ASKED:
                filled.append(profile)
                continue
            try:
                reply = await self._session.ask(
                    operations.MEDIA2_GET_ENCODERS, templates.media2_get_encoders(profile.token)
                )
            except AdapterError as error:
                self._bearable(error)
                return (*filled, *profiles[at:])
            encoders = mapping.media2_encoders(reply)
            filled.append(
                mapping.with_encoder(profile, encoders[0]) if len(encoders) == 1 else replace(profile)
            )
        return tuple(filled)

    async def stream_uri(self, profile: MediaProfile) -> Reply:
        """Ask for the RTSP address of a profile; of the other media service where the one in use does not tell.

        A device that does not know its own token is asked by the profile's name once (quirk 47).

        Raises:
            AdapterError: as `OnvifSession.ask`; the error of the service in use.
        """
        try:
            return await self._by_token_or_name(profile)
        except (CameraFault, Unsupported, RemoteProtocolError) as error:
            if not (self._media and self._media2) or self._session.stopped is not None:
                raise
            self.uses_media2 = not self.uses_media2
            try:
                reply = await self._by_token_or_name(profile)
            except AdapterError as second:
                self.uses_media2 = not self.uses_media2
                raise error from second
        self._session.quirks["stream_uri_by_the_other_service"] = None
        return reply

    async def _by_token_or_name(self, profile: MediaProfile) -> Reply:
        token = self._tokens.get(profile.token, profile.token)
        try:
            return await self._stream_uri(token)
        except CameraFault as error:
            name = profile.name
            unknown = not error.fault.startswith("HTTP ")  # a word of ONVIF, such as NoProfile
            twins = sum(1 for item in self.profiles if item.name == name)
            if not unknown or token != profile.token or not name or name == token or twins > 1:
                raise
            reply = await self._stream_uri(name)
        self._tokens[profile.token] = name
        self._session.quirks["name_used_as_token"] = None
        return reply

    async def _stream_uri(self, token: str, *, tunnel: bool = False) -> Reply:
        if not self.uses_media2:
            body = self.old_stream_uri_body(token, tunnel=tunnel)
            return await self._session.ask(operations.MEDIA_GET_STREAM_URI, body)
        operation = operations.MEDIA2_GET_STREAM_URI
        if tunnel:
            return await self._session.ask(operation, templates.media2_get_stream_uri(token, "RtspOverHttp"))
        try:
            return await self._session.ask(operation, templates.media2_get_stream_uri(token, "RTSP"))
        except CameraFault:  # such as InvalidArgVal: it knows the operation, not the protocol
            body = templates.media2_get_stream_uri(token, "RtspUnicast")
            reply = await self._session.ask(operation, body)
            self._session.quirks["media2_only_rtsp_unicast"] = None
            return reply

    def old_stream_uri_body(self, token: str, *, tunnel: bool = False) -> bytes:
        """Return GetStreamUri of the media service for a profile token."""
        transport = {"Protocol": "HTTP" if tunnel else "RTSP"}
        setup = {"Stream": "RTP-Unicast", "Transport": transport}
        return self._wsdl.render(operations.MEDIA_GET_STREAM_URI, StreamSetup=setup, ProfileToken=token)

    async def tunnel_uri(self, profile: MediaProfile) -> Reply:
        """Ask for the address of a profile tunnelled over HTTP or HTTPS, of the service in use.

        Raises:
            AdapterError: as `OnvifSession.ask`.
        """
        return await self._stream_uri(self._tokens.get(profile.token, profile.token), tunnel=True)

    async def snapshot_uri(self, profile: MediaProfile) -> Reply:
        """Ask for the snapshot address of a profile.

        Raises:
            AdapterError: as `OnvifSession.ask`.
        """
        token = self._tokens.get(profile.token, profile.token)
        if self.uses_media2:
            body = templates.media2_get_snapshot_uri(token)
        else:
            body = self._wsdl.render(operations.MEDIA_GET_SNAPSHOT_URI, ProfileToken=token)
        return await self._session.ask(self.snapshot_operation, body)


def sources_of(profiles: tuple[MediaProfile, ...]) -> tuple[str, ...]:
    """Return the tokens of the video sources that profiles name, in the device's order."""
    return tuple(dict.fromkeys(profile.source for profile in profiles if profile.source))


def streams_of(
    profiles: tuple[MediaProfile, ...], source: str
) -> tuple[MediaProfile | None, MediaProfile | None]:
    """Return the main stream (largest picture) and the sub stream (next smaller one) of one video source.

    H.264 and H.265 come before JPEG and MPEG-4 of any size; of equals the device's order decides. Where no profile
    names its source, all are of the one.
    """
    own = [profile for profile in profiles if profile.source == source] or list(profiles)
    # What a browser can be given first: AXIS lists a JPEG profile as large as or larger than the H.264 one.
    ordered = sorted(own, key=lambda item: (item.encoding in _NOT_RELAYED, -item.width * item.height))
    if not ordered:
        return None, None
    main = ordered[0]
    area = main.width * main.height
    if area == 0:
        return main, ordered[1] if len(ordered) > 1 else None
    smaller = (profile for profile in ordered[1:] if 0 < profile.width * profile.height < area)
    return main, next(smaller, None)


__all__ = ["MediaReader", "sources_of", "streams_of"]
