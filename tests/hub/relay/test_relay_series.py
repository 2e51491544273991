"""The relay's Prometheus series: names of cameras are bounded, counters never fall."""

from conftest import run

from hub.relay.workers.figures import CameraFigures, LoopLag, Tallies, Tally, WorkerFigures
from hub.relay.workers.series import RelaySeries


def camera(name: str, packets: int, *, viewers: int = 1, age_s: float = 1.0) -> CameraFigures:
    """Return the figures of a camera."""
    return CameraFigures(name, viewers, 0, packets, packets * 1000, 0, 0, 0, 0, age_s)


class Shown:
    """Series over figures that a test sets."""

    def __init__(self, *cameras: CameraFigures, named: int = 2) -> None:
        self.workers = (WorkerFigures(0, True, 0, 0, {"viewers": 1}, 0.01, cameras),)
        self.series = RelaySeries(self.read, named)

    async def read(self) -> tuple[WorkerFigures, ...]:
        """Return what was set."""
        return self.workers

    def packets(self, *cameras: CameraFigures) -> dict[str, float]:
        """Read anew; return the packets by name."""
        self.workers = (WorkerFigures(0, True, 0, 0, {"viewers": 1}, 0.01, cameras),)
        run(self.series.refresh())
        return {
            sample.labels["camera"]: sample.value
            for family in self.series.cameras.collect()
            for sample in family.samples
            if sample.name == "camhub_relay_camera_packets_total"
        }


def test_a_camera_keeps_its_name_and_the_rest_is_counted_together() -> None:
    """The bound holds; `other` goes on where its cameras leave, begin anew, or move to a name that became free."""
    shown = Shown()
    first = shown.packets(
        camera("a", 10), camera("b", 20), camera("c", 5, viewers=0), camera("d", 7, viewers=0)
    )
    assert first == {"a": 10, "b": 20, "other": 12}
    busy = shown.packets(camera("a", 11), camera("b", 21), camera("c", 9, viewers=50), camera("d", 7))
    assert busy == {"a": 11, "b": 21, "other": 16}, "a name is kept however many watch another camera"
    gone = shown.packets(camera("a", 12), camera("b", 22), camera("d", 9))
    assert gone == {"a": 12, "b": 22, "other": 18}
    anew = shown.packets(camera("a", 12), camera("b", 22), camera("d", 3))
    assert anew["other"] == 21, "it was let go and pulled again"
    free = shown.packets(camera("a", 13), camera("d", 4))
    assert free == {"a": 13, "d": 4, "other": 21}


def test_ages_of_key_frames_are_absent_where_there_is_none() -> None:
    """-1 is no age."""
    shown = Shown()
    shown.packets(camera("a", 1, age_s=-1.0), camera("b", 1, age_s=0.5))
    ages = {
        sample.labels["camera"]: sample.value
        for family in shown.series.cameras.collect()
        for sample in family.samples
        if family.name == "camhub_relay_camera_key_frame_age_seconds"
    }
    assert ages == {"b": 0.5}


def test_a_worker_that_does_not_run_shows_only_that() -> None:
    """Its counters are absent: a 0 would be a lie."""
    shown = Shown()
    shown.workers = (
        WorkerFigures(0, True, 0, 0, {"packets": 5}),
        WorkerFigures(1, False, 3, 2),
    )
    run(shown.series.refresh())
    told = {
        (sample.name, sample.labels["worker"]): sample.value
        for family in shown.series.workers.collect()
        for sample in family.samples
    }
    assert (told["camhub_relay_worker_up", "0"], told["camhub_relay_worker_up", "1"]) == (1, 0)
    assert told["camhub_relay_worker_restarts_total", "1"] == 3
    assert told["camhub_relay_worker_failures", "1"] == 2
    assert told["camhub_relay_worker_packets_total", "0"] == 5
    assert ("camhub_relay_worker_packets_total", "1") not in told


def test_what_a_viewer_was_sent_stays_counted_when_it_leaves() -> None:
    """For its camera until that is let go, for the worker always."""
    tallies = Tallies()
    tallies.left("a", Tally(packets=10, octets=100, resent=1))
    assert tallies.of("a", [Tally(packets=5)]) == Tally(15, 100, 1, 0)
    assert tallies.of("b", [Tally(packets=5)]) == Tally(5, 0, 0, 0)
    tallies.forget("a")
    assert tallies.of("a", []) == Tally()
    assert tallies.total([Tally(packets=5)]) == Tally(15, 100, 1, 0)


def test_the_loop_s_lag_is_the_most_of_the_last_seconds() -> None:
    """A hiccup is told for ten seconds at least, and not for ever."""
    lag = LoopLag()
    lag.note(0.5, 100.0)
    lag.note(0.01, 105.0)
    assert lag.most_s == 0.5
    lag.note(0.02, 111.0)
    assert lag.most_s == 0.5
    lag.note(0.03, 122.0)
    assert lag.most_s == 0.03
