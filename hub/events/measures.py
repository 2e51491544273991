"""What pulling events shows of a camera: the facts for EVT-02 and EVT-07."""

from collections import deque
from collections.abc import Mapping
from datetime import datetime
from statistics import median
from typing import Final

from adapters.errors import AdapterError
from adapters.onvif.events import DeviceEvent
from standards.observation import Method, NotObserved, Observation, Observed, Provenance, Value
from standards.reason import Reason

SOURCE: Final = "onvif/1"
DIFFERENCES: Final = 9  # the newest ones; their median counts
PULL: Final = "ONVIF subscription PullMessages"


class Measures:
    """The measurements of one device, kept while the hub runs."""

    def __init__(self, peer: str) -> None:
        self._peer = peer
        self._answer: tuple[datetime, float | AdapterError] | None = None
        self._utc: tuple[datetime, bool] | None = None
        self._differences: deque[float] = deque(maxlen=DIFFERENCES)
        self._last: datetime | None = None

    @property
    def answered(self) -> bool:
        """Tell whether the long pull was tried."""
        return self._answer is not None

    def pulled(self, at: datetime, outcome: float | AdapterError) -> None:
        """Take how long the camera took to answer the long pull, or why it did not."""
        self._answer = at, outcome

    def came(self, event: DeviceEvent) -> None:
        """Take the times of one event. States that are told at the beginning may carry the time of their last change."""
        self._utc = event.arrived_at, event.at_in_utc and (self._utc is None or self._utc[1])
        if event.at is not None and event.operation != "Initialized":
            self._differences.append((event.at - event.arrived_at).total_seconds())
            self._last = event.arrived_at

    def facts(self) -> Mapping[str, Observation]:
        """Return what was measured; a fact that was not is left out."""
        found: dict[str, Observation] = {}
        if self._answer is not None:
            at, outcome = self._answer
            if isinstance(outcome, AdapterError):
                reason = outcome.reason if outcome.reason is not Reason.INTERNAL else Reason.NOT_ASKED
                found["event.pull_answer_s"] = NotObserved(reason, str(outcome), self._provenance(at))
            else:
                found["event.pull_answer_s"] = self._saw(round(outcome, 2), at)
        if self._utc is not None:
            found["event.times_utc"] = self._saw(self._utc[1], self._utc[0])
        if self._last is not None:
            found["event.clock_difference_s"] = self._saw(round(median(self._differences), 2), self._last)
        return found

    def _saw(self, value: Value, at: datetime) -> Observed:
        return Observed(value, self._provenance(at))

    def _provenance(self, at: datetime) -> Provenance:
        return Provenance(Method.TEST, SOURCE, PULL, self._peer, at)
