"""A camera's timestamps made into one line that never goes back, whatever the camera's clock does.

Every line begins at the tick of its first picture's arrival, so that all lines of a process agree to within the delay
of their pictures: a viewer that changes from one to another sees no step.
"""

_LEAP_S = 5.0  # a step larger than this against arrival is a new clock, not a pause


class Timeline:
    """Maps a track's unwrapped timestamps to ticks of `rate_hz` that always rise."""

    def __init__(self, rate_hz: int = 90_000) -> None:
        self.rate_hz = rate_hz
        self._offset: int | None = None
        self._last = 0
        self._arrived_s = 0.0

    def reopened(self) -> None:
        """Expect another clock: the stream was opened anew."""
        self._offset = None

    def map(self, timestamp: int, clock_rate_hz: int, arrived_s: float) -> int:
        """Return the tick of a picture; `arrived_s` is monotonic seconds."""
        ticks = (
            timestamp if clock_rate_hz == self.rate_hz else timestamp * self.rate_hz // max(1, clock_rate_hz)
        )
        elapsed = max(0, int((arrived_s - self._arrived_s) * self.rate_hz))
        expected = self._last + elapsed if self._arrived_s else int(arrived_s * self.rate_hz)
        mapped = ticks + self._offset if self._offset is not None else expected
        if self._offset is None or abs(mapped - expected) > _LEAP_S * self.rate_hz:
            mapped = max(expected, self._last + 1)
            self._offset = mapped - ticks
        # Pictures that share a stamp would be taken for one by a jitter buffer; the stamp moves by one tick.
        mapped = max(mapped, self._last + 1)
        self._last, self._arrived_s = mapped, arrived_s
        return mapped

    def at(self, now_s: float) -> int:
        """Return the tick that a picture arriving now would have."""
        return self._last + max(0, int((now_s - self._arrived_s) * self.rate_hz)) if self._arrived_s else 0
