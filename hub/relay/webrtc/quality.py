"""Which layer a viewer's network bears. Pure: numbers and times in, a layer out.

Down at once when packets are lost or pile up; up again only after a quiet time, which doubles each time that going up
was a mistake. A viewer is not moved to and fro: it costs a key frame each time.
"""

from collections import deque
from typing import Final

LOSS_AT_ONCE: Final = 0.10  # share lost in one report that is too much
LOSS_LASTING: Final = 0.04  # and in two reports that follow each other
LOSS_QUIET: Final = 0.02  # below this a network counts as quiet
QUEUE_TOO_LONG_S: Final = 0.25  # packets wait so much longer than they once did
QUEUE_QUIET_S: Final = 0.08
ESTIMATE_SHORT: Final = 0.85  # of the layer's bit rate
UP_AFTER_S: Final = 10.0
UP_AFTER_MAX_S: Final = 120.0
UP_FAILED_WITHIN_S: Final = 20.0
_DELAY_MEMORY_S: Final = 20.0
_CLOCK_JUMP_S: Final = 1000.0
_MIN_PACKETS: Final = 20  # fewer say nothing about a share


class Quality:
    """What one viewer reported lately."""

    def __init__(self, now_s: float) -> None:
        self._bad = 0  # reports in a row with lasting loss, or too low an estimate
        self._suffers = False
        self._quiet_since_s = now_s
        self._up_after_s = UP_AFTER_S
        self._went_up_s: float | None = None
        self._least: deque[tuple[float, float]] = (
            deque()
        )  # (time, delay), rising: the smallest of the last seconds
        self._lost = self._received = 0
        self.loss = 0.0  # newest share, for metrics
        self.queue_s = 0.0

    def reported_loss(self, share: float, now_s: float) -> None:
        """Take the share lost from a receiver report (RFC 3550 6.4.1), or from feedback."""
        self.loss = share
        self._bad = self._bad + 1 if share >= LOSS_LASTING else 0
        if share >= LOSS_AT_ONCE or self._bad >= 2:
            self._suffers = True
        if share >= LOSS_QUIET:
            self._quiet_since_s = now_s

    def reported_path(self, lost: int, received: int, delay_s: float | None, now_s: float) -> None:
        """Take transport-wide feedback: packets counted, and the delay against a clock of its own."""
        self._lost, self._received = self._lost + lost, self._received + received
        if self._lost + self._received >= _MIN_PACKETS:
            self.reported_loss(self._lost / (self._lost + self._received), now_s)
            self._lost = self._received = 0
        if delay_s is None:
            return
        while self._least and (self._least[0][0] < now_s - _DELAY_MEMORY_S):
            self._least.popleft()
        if self._least and delay_s - self._least[0][1] > _CLOCK_JUMP_S:
            self._least.clear()  # the viewer's clock went round
        while self._least and self._least[-1][1] >= delay_s:
            self._least.pop()
        self._least.append((now_s, delay_s))
        self.queue_s = delay_s - self._least[0][1]
        if self.queue_s > QUEUE_TOO_LONG_S:
            self._suffers = True
        if self.queue_s > QUEUE_QUIET_S:
            self._quiet_since_s = now_s

    def reported_estimate(self, bits_per_s: float, layer_bits_per_s: float, now_s: float) -> None:
        """Take the viewer's own estimate (REMB) beside what the layer it gets needs."""
        if layer_bits_per_s and bits_per_s < ESTIMATE_SHORT * layer_bits_per_s:
            self._bad += 1
            self._quiet_since_s = now_s
            if self._bad >= 2:
                self._suffers = True

    def choose(self, layer: str, now_s: float) -> str:
        """Return the layer that this viewer should have, given the one that it has."""
        if layer == "main":
            if not self._suffers:
                return "main"
            if self._went_up_s is not None and now_s - self._went_up_s < UP_FAILED_WITHIN_S:
                self._up_after_s = min(UP_AFTER_MAX_S, 2 * self._up_after_s)
            else:
                self._up_after_s = UP_AFTER_S
            self._forget(now_s)
            return "sub"
        if now_s - self._quiet_since_s < self._up_after_s:
            return "sub"
        self._went_up_s = now_s
        self._forget(now_s)
        return "main"

    def moved(self, now_s: float) -> None:
        """Begin to count anew: the viewer was moved by its own choice."""
        self._up_after_s = UP_AFTER_S
        self._went_up_s = None
        self._forget(now_s)

    def _forget(self, now_s: float) -> None:
        self._suffers, self._bad = False, 0
        self._lost = self._received = 0
        self._quiet_since_s = now_s
        self._least.clear()
