"""The clock of a device: reachability by three reads, the offset by five (rules CON-01, TIM-01, TIM-02, TIM-05)."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from statistics import median

from adapters.errors import (
    AdapterError,
    AddressRefused,
    CameraFault,
    RemoteProtocolError,
    TimedOut,
    Unreachable,
    Unsupported,
)
from adapters.onvif import mapping, operations
from adapters.onvif.reply import Challenged, Reply
from adapters.onvif.steps import Ended, Kit
from adapters.wire.http import HttpReply
from standards.reason import Reason

REACH_LIMIT_S = 3.0  # CON-01: each answer within 3 s
REACH_READS = 3
CLOCK_READS = 5  # TIM-02: the median of five
_TIME_FACTS = (
    "time.utc_present",
    "time.offset_s",
    "time.source",
    "time.zone_offset_min",
    "time.daylight_savings",
)


def _answers(error: AdapterError) -> bool:
    """Tell whether an error is a word of ONVIF, though not the one asked for (quirks 4, 5, 69)."""
    soap = isinstance(error, CameraFault) and not error.fault.startswith("HTTP ")
    return soap or isinstance(error, (Challenged, Unsupported))


def signing_time(told: mapping.SystemTime, http: HttpReply) -> datetime | None:
    """Return the device's clock as it checks signatures by, None where it tells no time (quirks 2, 3).

    Where local time stands in the UTC field, the device itself still runs on UTC: of the two readings the one nearer
    to the HTTP Date header counts, else the one nearer to our own clock.
    """
    if told.utc is None:
        zone = told.zone_offset_min
        if told.local is None or zone is None:
            return None
        return told.local.replace(tzinfo=UTC) - timedelta(minutes=zone)
    if told.local is None or abs(told.local.replace(tzinfo=UTC) - told.utc) > timedelta(seconds=2):
        return told.utc
    east = written_offset_min(told)
    if not east:
        return told.utc
    shifted = told.utc - timedelta(minutes=east)
    anchor = http_date(http) or http.started_at
    return min((told.utc, shifted), key=lambda reading: abs(reading - anchor))


def written_offset_min(told: mapping.SystemTime) -> int | None:
    """Return the zone as it is written, without a look at the clocks."""
    return mapping.zone_offset_min(told.zone)


def http_date(http: HttpReply | None) -> datetime | None:
    """Return the moment of the Date header, None where there is none."""
    try:
        moment = parsedate_to_datetime(http.header("date")) if http is not None else None
    except (ValueError, TypeError):
        return None
    return moment if moment is not None and moment.tzinfo is not None else None


class ClockStep:
    """Reads GetSystemDateAndTime."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._signing: list[float] = []  # offsets of the clock by which signatures are checked

    async def read(self, *, anonymous: bool) -> None:
        """Read the clock: three reads count for reach.*, five for the offset."""
        operation = operations.GET_SYSTEM_DATE_AND_TIME
        body = self._kit.wsdl.render(operation)
        offsets: list[float] = []
        self._signing.clear()
        answers, slowest_s = 0, 0.0
        last: AdapterError | None = None
        for attempt in range(CLOCK_READS):
            if attempt >= REACH_READS and not offsets:
                break
            try:
                reply = await self._kit.session.ask(
                    operation, body, anonymous=anonymous, limit_s=REACH_LIMIT_S
                )
            except AdapterError as error:
                last = error
                if not _answers(error):
                    if anonymous and not answers and self._hopeless(error):
                        self._kit.facts.failed(
                            ("reach.answers", "reach.slowest_s", *_TIME_FACTS), error, operation
                        )
                        raise Ended(error, operation) from error
                    continue
            else:
                self._take_time(mapping.system_time(reply), reply, offsets)
            if attempt < REACH_READS and self._kit.session.last_http is not None:
                answers += 1
                slowest_s = max(slowest_s, self._kit.session.last_http.took_s)
        if anonymous and (answers or last is None):
            self._kit.facts.saw("reach.answers", answers, operation, self._kit.session.last_http)
            self._kit.facts.saw(
                "reach.slowest_s", round(slowest_s, 3), operation, self._kit.session.last_http
            )
        elif anonymous and last is not None:
            self._kit.facts.failed(("reach.answers", "reach.slowest_s"), last, operation)
        if offsets:
            middle = median(offsets)
            self._kit.session.clock_offset = timedelta(seconds=median(self._signing))
            if abs(middle - median(self._signing)) > 1.0:
                self._kit.session.quirks["local_time_in_utc_field"] = None  # quirk 3
            self._kit.facts.saw("time.offset_s", round(middle, 3), operation, self._kit.session.last_http)
        elif (
            last is not None
            and not self._kit.facts.knows("time.utc_present")
            and not isinstance(last, Challenged)
        ):
            self._kit.facts.failed(_TIME_FACTS, last, operation)
        if not offsets and anonymous:
            self._borrow_clock()

    def _hopeless(self, error: AdapterError) -> bool:
        """Tell whether the first word of a peer shows that nothing will come of more reads."""
        if self._kit.session.stopped is not None or isinstance(error, (Unreachable, AddressRefused)):
            return True
        if isinstance(error, RemoteProtocolError):
            return error.reason in {Reason.NOT_THE_PROTOCOL, Reason.MALFORMED_HTTP}
        return not isinstance(error, (TimedOut, CameraFault))

    def _take_time(self, told: mapping.SystemTime, reply: Reply, offsets: list[float]) -> None:
        """Take one reading: facts from the first, an offset from each."""
        operation, http = reply.operation, reply.http
        first = not self._kit.facts.knows("time.utc_present")
        zone = told.zone_offset_min if first or told.utc is None else None
        camera = told.utc
        if camera is None and told.local is not None and zone is not None:
            camera = told.local.replace(tzinfo=UTC) - timedelta(minutes=zone)  # quirk 2
        if camera is not None:
            halfway = http.started_at + timedelta(seconds=http.took_s / 2)
            offset_s = (camera - halfway).total_seconds()
            offsets.append(offset_s)
            signing = signing_time(told, http) or camera
            self._signing.append((signing - halfway).total_seconds())
        if not first:
            return
        self._kit.facts.saw("time.utc_present", told.utc is not None, operation, http)
        for fact, value in (
            ("time.source", told.source or None),
            ("time.zone_offset_min", zone),
            ("time.daylight_savings", told.daylight_savings),
        ):
            if value is None:
                self._kit.facts.missed(
                    (fact,), Reason.EMPTY_REPLY, f"{operation}: the answer does not tell it", operation
                )
            else:
                self._kit.facts.saw(fact, value, operation, http)
        if camera is None:
            self._kit.facts.missed(
                ("time.offset_s",), Reason.EMPTY_REPLY, f"{operation}: the answer holds no time", operation
            )

    def _borrow_clock(self) -> None:
        """Take the device's clock from an HTTP Date header where it tells no time: only to sign with (quirk 2)."""
        http = self._kit.session.last_http
        told = http_date(http)
        if told is not None and http is not None:
            self._kit.session.clock_offset = told - http.started_at
