"""The extended reads: what a device tells beyond identity and streams. Each failure costs its own facts alone.

Only what may be asked of a service that the device lists is asked, one read after the other, in the time that the
probe can spare; the rest says that no time was left. Replies in which names of people, places or presets stand are
not kept as evidence.
"""

from collections.abc import Mapping

from adapters.errors import AdapterError, PermissionDenied
from adapters.onvif import details, mapping, operations, requests
from adapters.onvif.media import MediaReader, streams_of
from adapters.onvif.operations import Operation
from adapters.onvif.reply import Reply
from adapters.onvif.session import READ_LIMIT_S
from adapters.onvif.steps import Kit
from standards.observation import freeze, rfc3339
from standards.reason import Reason

LIMIT_S = 8.0  # for all extended reads together
_READ_S = 1.0  # what must be left for one more of them
MAX_FOUND = 100  # recordings asked for in one search
_DAY_S = 86400.0

# Every fact that an extended probe says something about.
FACTS = (
    "security.default_access_policy",
    "event.max_pull_points",
    "event.mqtt",
    "event.topics",
    "media.secure_streaming",
    "media.rtsp_over_https",
    "media.encoder_instances",
    "media.osd",
    "privacy.masks",
    "privacy.mask_supported",
    "imaging.settings",
    "ptz.present",
    "ptz.nodes",
    "ptz.presets",
    "analytics.modules",
    "recording.recordings",
    "recording.earliest",
    "recording.latest",
    "recording.days_kept",
    "recording.behind_s",
    "recording.replay_uri",
    "storage.devices",
    "account.password_policy",
    "account.password_min_length",
    "account.password_min_uppercase",
    "account.password_min_numbers",
    "account.password_min_special",
    "account.lockout_enabled",
    "account.lockout_attempts",
    "account.admin_call",
    "account.levels",
    "account.own_level",
    "onvif.profiles_borne_out",
)

# Mandatory reads of the ONVIF Profiles, as far as one probe makes them (S v1.3, T v1.3, G v1.0 sections 7 and 8)
_COMMON = (operations.GET_DEVICE_INFORMATION, operations.GET_SCOPES, operations.GET_SYSTEM_DATE_AND_TIME)
_MANDATORY: Mapping[str, tuple[Operation, ...]] = {
    "S": (*_COMMON, operations.MEDIA_GET_PROFILES, operations.MEDIA_GET_STREAM_URI),
    "T": (
        *_COMMON,
        operations.GET_SERVICES,
        operations.MEDIA2_GET_PROFILES,
        operations.MEDIA2_GET_STREAM_URI,
        operations.EVENT_CAPABILITIES,
        operations.GET_EVENT_PROPERTIES,
    ),
    "G": (
        *_COMMON,
        operations.GET_SERVICES,
        operations.GET_RECORDINGS,
        operations.GET_RECORDING_SUMMARY,
        operations.FIND_RECORDINGS,
        operations.GET_REPLAY_URI,
    ),
    "M": (*_COMMON, operations.GET_SERVICES, operations.EVENT_CAPABILITIES, operations.GET_EVENT_PROPERTIES),
}


class DetailsStep:
    """The extended reads of one probe. `listed` are the services of the device."""

    def __init__(self, kit: Kit, listed: Mapping[str, None], reserve_s: float) -> None:
        self._kit = kit
        self._facts = kit.facts
        self._listed = listed
        spare_s = kit.request.deadline.remaining_s() - reserve_s
        self._left_out: set[Operation] = set()  # for want of time: nothing is known of what they answer
        self._until_s = kit.context.clock.monotonic() + max(0.0, min(LIMIT_S, spare_s))

    def may_ask(self) -> bool:
        """Tell whether the probe can spare the time for one more read."""
        return self._left_s() >= _READ_S

    def _left_s(self) -> float:
        return self._until_s - self._kit.context.clock.monotonic()

    async def capabilities(self, *, anonymous: bool) -> None:
        """Read what services say about themselves (access class PRE_AUTH); again after a login where refused."""
        for service, operation, read, facts in (
            ("device", operations.DEVICE_CAPABILITIES, self._device, ("security.default_access_policy",)),
            ("events", operations.EVENT_CAPABILITIES, self._events, ("event.max_pull_points", "event.mqtt")),
            (
                "media2",
                operations.MEDIA2_CAPABILITIES,
                self._media2,
                ("media.secure_streaming", "privacy.mask_supported"),
            ),
        ):
            if operation in self._kit.session.answered or not self._offers(service, facts):
                continue
            reply = await self._ask(operation, requests.plain(operation), facts, anonymous=anonymous)
            if reply is not None:
                read(reply)

    def _device(self, reply: Reply) -> None:
        self._tell("security.default_access_policy", details.default_access_policy(reply), reply)

    def _events(self, reply: Reply) -> None:
        points, mqtt = details.event_limits(reply)
        self._tell("event.max_pull_points", points, reply)
        self._tell("event.mqtt", mqtt, reply)

    def _media2(self, reply: Reply) -> None:
        self._tell("media.secure_streaming", details.secure_streaming(reply), reply)
        self._tell("privacy.mask_supported", details.masks_supported(reply), reply)

    async def read(self, media: MediaReader, source: str) -> None:
        """Read everything else, the call that expects a refusal last."""
        await self.capabilities(anonymous=False)
        await self._topics()
        await self._video(media, source)
        await self._ptz(media, source)
        await self._analytics(media, source)
        await self._recordings()
        await self._device_settings()
        await self._claims(media, source)
        await self._users()

    async def _topics(self) -> None:
        operation, fact = operations.GET_EVENT_PROPERTIES, "event.topics"
        if self._offers("events", (fact,)):
            reply = await self._ask(operation, requests.plain(operation), (fact,))
            if reply is not None:
                self._facts.saw(fact, details.topics(reply), operation, reply.http)

    async def _video(self, media: MediaReader, source: str) -> None:
        await self._sources(media)
        main, _sub = streams_of(media.profiles, source)
        configuration = main.source_configuration if main is not None else ""
        await self._instances(media, configuration)
        if self._offers("media2", ("privacy.masks",)):
            operation = operations.MEDIA2_GET_MASKS
            body = requests.plain(operation, ConfigurationToken=configuration)
            reply = await self._ask(operation, body, ("privacy.masks",))
            if reply is not None:
                self._facts.saw("privacy.masks", details.masks(reply), operation, reply.http)
        operation = operations.MEDIA2_GET_OSDS if "media2" in self._listed else operations.MEDIA_GET_OSDS
        reply = await self._ask(operation, requests.plain(operation), ("media.osd",))
        if reply is not None:  # without evidence: the texts may name places
            shown = [{"kind": item.kind, "format": item.format} for item in details.osds(reply)]
            self._facts.saw("media.osd", freeze(shown), operation)
        if self._offers("imaging", ("imaging.settings",)):
            await self._imaging(source)

    async def _sources(self, media: MediaReader) -> None:
        """Count the video sources themselves: a source may have no profile."""
        old = "media" in self._listed
        operation = operations.MEDIA_GET_VIDEO_SOURCES if old else operations.MEDIA2_GET_VIDEO_SOURCES
        reply = await self._ask(operation, requests.plain(operation), ())
        if reply is None:
            return
        named = {profile.source for profile in media.profiles if profile.source}
        number = len(named | set(details.video_sources(reply)))
        if number:
            self._facts.saw("media.video_sources", number, operation, reply.http)

    async def _instances(self, media: MediaReader, configuration: str) -> None:
        fact = "media.encoder_instances"
        if not configuration:
            detail = f"{media.profiles_operation}: no video source configuration to ask for"
            self._facts.missed((fact,), Reason.EMPTY_REPLY, detail, media.profiles_operation)
            return
        new = media.uses_media2
        operation = operations.MEDIA2_GET_INSTANCES if new else operations.MEDIA_GET_INSTANCES
        reply = await self._ask(
            operation, requests.plain(operation, ConfigurationToken=configuration), (fact,)
        )
        if reply is not None:
            self._tell(fact, details.encoder_instances(reply), reply)

    async def _imaging(self, source: str) -> None:
        operation, fact = operations.GET_IMAGING_SETTINGS, "imaging.settings"
        if not source:
            self._facts.missed(
                (fact,), Reason.EMPTY_REPLY, "no MediaProfile names its video source", operation
            )
            return
        reply = await self._ask(operation, requests.plain(operation, VideoSourceToken=source), (fact,))
        if reply is not None:
            self._facts.saw(fact, freeze(details.imaging_settings(reply)), operation, reply.http)

    async def _ptz(self, media: MediaReader, source: str) -> None:
        operation = operations.PTZ_GET_NODES
        if self._listed and "ptz" not in self._listed:
            self._facts.saw("ptz.present", False, operations.GET_SERVICES)
        if not self._offers("ptz", ("ptz.present", "ptz.nodes", "ptz.presets")):
            return
        reply = await self._ask(operation, requests.plain(operation), ("ptz.present", "ptz.nodes"))
        if reply is not None:
            nodes = details.ptz_nodes(reply)
            self._facts.saw("ptz.present", bool(nodes), operation, reply.http)
            listed = [
                {
                    "token": node.token,
                    "home_supported": node.home_supported,
                    "max_presets": node.max_presets,
                    "spaces": node.spaces,
                }
                for node in nodes
            ]
            self._facts.saw("ptz.nodes", freeze(listed), operation, reply.http)
        else:  # some devices name the node in use, though they do not list their nodes
            operation = operations.PTZ_GET_CONFIGURATIONS
            reply = await self._ask(operation, requests.plain(operation), ())
            if reply is not None:
                present = bool(details.ptz_configured_nodes(reply))
                self._facts.saw("ptz.present", present, operation, reply.http)
        await self._presets(media, source)

    async def _presets(self, media: MediaReader, source: str) -> None:
        own = [profile for profile in media.profiles if profile.source == source and profile.ptz]
        if not own:
            detail = f"{media.profiles_operation}: no MediaProfile of the camera carries PTZ"
            self._facts.missed(("ptz.presets",), Reason.DENIED_BY_DEVICE, detail, media.profiles_operation)
            return
        operation = operations.PTZ_GET_PRESETS
        body = requests.plain(operation, ProfileToken=own[0].token)
        reply = await self._ask(operation, body, ("ptz.presets",))
        if reply is not None:  # without evidence: presets are named for what they look at
            self._facts.saw("ptz.presets", len(details.presets(reply)), operation)

    async def _analytics(self, media: MediaReader, source: str) -> None:
        operation, fact = operations.GET_ANALYTICS_MODULES, "analytics.modules"
        if not self._offers("analytics", (fact,)):
            return
        own = [profile for profile in media.profiles if profile.source == source and profile.analytics]
        if not own:
            self._facts.saw(fact, (), media.profiles_operation, media.profiles_http)
            return
        body = requests.plain(operation, ConfigurationToken=own[0].analytics)
        reply = await self._ask(operation, body, (fact,))
        if reply is not None:
            self._facts.saw(fact, details.analytics_modules(reply), operation, reply.http)

    async def _recordings(self) -> None:
        """Read recordings: listed, found and summed up (Profile G). Names and places in them are not kept."""
        listed: tuple[details.Recording, ...] = ()
        dates = ("recording.earliest", "recording.latest", "recording.days_kept", "recording.behind_s")
        if self._listed and "recording" not in self._listed:
            self._facts.saw("recording.recordings", (), operations.GET_SERVICES)
        elif self._offers("recording", ("recording.recordings",)):
            operation = operations.GET_RECORDINGS
            reply = await self._ask(operation, requests.plain(operation), ("recording.recordings",))
            if reply is not None:
                listed = details.recordings(reply)
                self._tell_recordings(listed, operation)
        if self._listed and "search" not in self._listed:  # it says nothing about how long pictures are kept
            operation = operations.GET_SERVICES
            detail = f"{operation}: the device lists no search service; nothing was declared"
            self._facts.missed(dates, Reason.NO_DECLARATION, detail, operation)
        elif self._offers("search", dates):
            listed = await self._search(listed)
            operation = operations.GET_RECORDING_SUMMARY
            reply = await self._ask(operation, requests.plain(operation), dates)
            if reply is not None:
                earliest, latest, _number = details.recording_summary(reply)
                now = self._kit.context.clock.now()
                age = (now - earliest).total_seconds() / _DAY_S if earliest else None
                behind = (now - latest).total_seconds() if latest else None
                self._tell("recording.earliest", rfc3339(earliest) if earliest else None, reply)
                self._tell("recording.latest", rfc3339(latest) if latest else None, reply)
                self._tell("recording.days_kept", round(age, 2) if age is not None else None, reply)
                self._tell("recording.behind_s", round(behind, 1) if behind is not None else None, reply)
        fact = "recording.replay_uri"
        if not self._offers("replay", (fact,)):
            return
        operation = operations.GET_REPLAY_URI
        if not listed:
            self._facts.missed(
                (fact,), Reason.TOO_FEW_SAMPLES, f"{operation}: no recording to ask for", operation
            )
            return
        reply = await self._ask(operation, requests.replay_uri(operation, listed[0].token), (fact,))
        if reply is not None:
            self._facts.saw(fact, bool(mapping.uri(reply).strip()), operation, reply.http)

    async def _search(self, listed: tuple[details.Recording, ...]) -> tuple[details.Recording, ...]:
        """Search for all recordings; the search is ended whatever came of it."""
        operation = operations.FIND_RECORDINGS
        reply = await self._ask(operation, requests.find_recordings(operation, MAX_FOUND), ())
        token = details.search_token(reply) if reply is not None else ""
        if not token:
            return listed
        operation = operations.GET_RECORDING_SEARCH_RESULTS
        try:
            reply = await self._ask(operation, requests.search_results(operation, token, MAX_FOUND), ())
        finally:
            ending = operations.END_SEARCH
            await self._ask(ending, requests.plain(ending, SearchToken=token), (), urgent=True)
        found = details.recordings(reply) if reply is not None else ()
        if found:
            self._tell_recordings(found, operation)
        return found or listed

    def _tell_recordings(self, found: tuple[details.Recording, ...], operation: Operation) -> None:
        listed = [
            {
                "token": item.token,
                "status": item.status,
                "earliest": rfc3339(item.earliest) if item.earliest else "",
                "latest": rfc3339(item.latest) if item.latest else "",
                "tracks": item.tracks,
            }
            for item in found
        ]
        self._facts.saw("recording.recordings", freeze(listed), operation)

    async def _device_settings(self) -> None:
        """Read the rules for passwords and lock-outs, and the kinds of storage."""
        operation = operations.GET_PASSWORD_COMPLEXITY
        parts = ("length", "uppercase", "numbers", "special")
        facts = tuple(f"account.password_min_{name}" for name in parts)
        reply = await self._ask(operation, requests.plain(operation), (*facts, "account.password_policy"))
        if reply is not None:
            self._facts.saw("account.password_policy", "supported", operation, reply.http)
            rule = details.password_rule(reply)
            for fact, name in zip(facts, parts, strict=True):
                self._tell(fact, getattr(rule, name), reply)
        elif self._facts.reason(facts[0]) is Reason.DENIED_BY_DEVICE:
            self._facts.saw("account.password_policy", "unsupported", operation)
        operation = operations.GET_AUTH_FAILURE_WARNING
        facts = ("account.lockout_enabled", "account.lockout_attempts")
        reply = await self._ask(operation, requests.plain(operation), facts)
        if reply is not None:
            warning = details.auth_failure_warning(reply)
            self._tell(facts[0], warning.enabled, reply)
            self._tell(facts[1], warning.attempts, reply)
        operation = operations.GET_STORAGE_CONFIGURATIONS
        reply = await self._ask(operation, requests.plain(operation), ("storage.devices",))
        if reply is not None:  # without evidence: addresses and accounts of servers stand in it
            kept = [{"kind": kind} for kind in details.storage_kinds(reply)]
            self._facts.saw("storage.devices", freeze(kept), operation)

    async def _claims(self, media: MediaReader, source: str) -> None:
        """Ask the old media service too where Profile S is claimed, then compare claims with answers (ID-04)."""
        fact = "onvif.profiles_borne_out"
        claimed = self._facts.value("onvif.profiles_claimed")
        if not isinstance(claimed, tuple):
            self._facts.missed((fact,), Reason.NOT_ASKED, "no claim was read", operations.GET_SCOPES)
            return
        answered = self._kit.session.answered
        if "S" in claimed and "media" in self._listed and media.uses_media2:
            main, _sub = streams_of(media.profiles, source)
            operation = operations.MEDIA_GET_PROFILES
            reply = await self._ask(operation, self._kit.wsdl.render(operation), ())
            old = mapping.media_profiles(reply) if reply is not None else ()
            token = next((item.token for item in old if main and item.token == main.token), "")
            token = token or next((item.token for item in old), "")
            if token:
                operation = operations.MEDIA_GET_STREAM_URI
                await self._ask(operation, media.old_stream_uri_body(token), ())
        needed = {one for letter in claimed for one in _MANDATORY.get(str(letter), ())}
        if self._left_out & needed - answered:
            unasked = ", ".join(sorted(str(one) for one in self._left_out & needed - answered))
            detail = f"not asked: no time was left for {unasked}"
            self._facts.missed((fact,), Reason.WINDOW, detail, "ONVIF probe")
            return
        borne = tuple(
            letter
            for letter in claimed
            if letter in _MANDATORY and answered.issuperset(_MANDATORY[str(letter)])
        )
        self._facts.saw(fact, borne, "ONVIF probe")

    async def _users(self) -> None:
        """Make the one call that only administrators may make, last, after an accepted login (SEC-11)."""
        operation = operations.GET_USERS
        facts = ("account.admin_call", "account.levels", "account.own_level")
        session = self._kit.session
        if not session.login.accepted or session.login.credential is None:
            detail = f"not asked: {operation} is asked only after an accepted login"
            self._facts.missed(facts, Reason.NOT_ASKED, detail, operation)
            return
        if not self._has_time(operation, facts):
            return
        try:
            reply = await session.ask(operation, requests.plain(operation))
        except PermissionDenied as error:
            self._facts.saw("account.admin_call", "refused", operation)
            self._facts.failed(facts[1:], error, operation)
        except AdapterError as error:
            self._facts.failed(facts, error, operation)
        else:  # without evidence: names of people stand in it
            levels, own = details.user_levels(reply, session.login.credential.user)
            self._facts.saw("account.admin_call", "answered", operation)
            self._facts.saw("account.levels", levels, operation)
            if own:
                self._facts.saw("account.own_level", own, operation)
            else:
                detail = f"{operation}: the account that was supplied is not in the list"
                self._facts.missed(("account.own_level",), Reason.CONTRADICTORY, detail, operation)

    # --- asking

    def _offers(self, service: str, facts: tuple[str, ...]) -> bool:
        """Tell whether the device lists a service; where it does not, its facts say so."""
        if service in self._listed or service == "device":
            return True
        operation = operations.GET_SERVICES
        if self._listed:
            detail = f"{operation}: the device lists no {service} service"
            self._facts.missed(facts, Reason.DENIED_BY_DEVICE, detail, operation)
        else:
            self._facts.missed(facts, Reason.NOT_ASKED, "the device lists no services", operation)
        return False

    def _has_time(self, operation: Operation, facts: tuple[str, ...]) -> bool:
        if self.may_ask():
            return True
        self._left_out.add(operation)
        self._facts.missed(facts, Reason.WINDOW, f"not asked: no time was left for {operation}", operation)
        return False

    async def _ask(
        self,
        operation: Operation,
        body: bytes,
        facts: tuple[str, ...],
        *,
        anonymous: bool = False,
        urgent: bool = False,
    ) -> Reply | None:
        if not urgent and not self._has_time(operation, facts):
            return None
        try:
            limit_s = min(READ_LIMIT_S, max(self._left_s(), _READ_S))
            return await self._kit.session.ask(operation, body, anonymous=anonymous, limit_s=limit_s)
        except AdapterError as error:  # never the end of the probe: what matters was read before
            self._facts.failed(facts, error, operation)
            return None

    def _tell(self, fact: str, value: str | float | bool | None, reply: Reply) -> None:
        if value is None:
            detail = f"{reply.operation}: the answer does not tell it"
            self._facts.missed((fact,), Reason.EMPTY_REPLY, detail, reply.operation)
        else:
            self._facts.saw(fact, value, reply.operation, reply.http)


__all__ = ["FACTS", "LIMIT_S", "DetailsStep"]
