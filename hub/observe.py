"""What the hub tells about itself: structured logs with constant event names, and Prometheus metrics.

Neither ever carries a secret: log values pass through `redact`, metric labels are closed sets.
"""

import logging
import sys
from collections.abc import Callable, MutableMapping
from typing import Any, TextIO

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from adapters.wire.redaction import DOTS, Redactor

_NEVER = frozenset(
    {
        "password",
        "secret",
        "token",
        "authorization",
        "cookie",
        "credential",
        "api_key",
        "session",
        "csrf",
        "ticket",
    }
)


_REDACTOR = Redactor()  # the map of adapters.wire.redaction; holds no secret of its own


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace values that must not be logged: by their name, by their type, and wherever the map finds them in text."""
    for key, value in event.items():
        event[key] = DOTS if key.lower() in _NEVER else _REDACTOR.value(key, value)
    return event


def configure_logging(level: str = "info", form: str = "json", stream: TextIO | None = None) -> None:
    """Send structlog and the standard library's logs to one stream (standard error), one line per event.

    Called by the command line before anything starts, never on import.
    """
    out = stream if stream is not None else sys.stderr
    shared: list[Callable[..., Any]] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # redaction is last, so that it sees the text of exceptions too
    ending: list[Callable[..., Any]] = [structlog.processors.format_exc_info, redact]
    renderer: Any = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if form == "json"
        else structlog.dev.ConsoleRenderer(
            colors=out.isatty(),
            exception_formatter=structlog.dev.plain_traceback,  # never with local values
        )
    )
    structlog.configure(
        processors=[*shared, *ending, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *ending,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)


class Metrics:
    """The hub's numbers, in a registry of its own (two hubs in one process do not mix)."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "camhub_http_requests_total",
            "HTTP requests by route template and status",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "camhub_http_request_seconds",
            "Time to the end of the response, without event streams",
            ("method", "route"),
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
            registry=self.registry,
        )
        self.problems = Counter(
            "camhub_problems_total", "Error replies by code", ("code",), registry=self.registry
        )
        self.event_streams = Gauge(
            "camhub_event_streams", "Open server-sent event streams", registry=self.registry
        )
        self.views_started = Counter(
            "camhub_views_started_total", "Views started, by kind", ("kind",), registry=self.registry
        )
        self.views_refused = Counter(
            "camhub_views_refused_total", "Views refused, by code", ("code",), registry=self.registry
        )
        self.views_ended = Counter(
            "camhub_views_ended_total", "Views ended, by cause", ("cause",), registry=self.registry
        )
        self.viewers = Gauge("camhub_viewers", "Viewer sessions open now", registry=self.registry)
        self.pushes = Gauge("camhub_pushes", "Encoders that push (WHIP) now", registry=self.registry)
        self.pushes_started = Counter(
            "camhub_pushes_started_total", "Pushes that were let in", registry=self.registry
        )
        self.pushes_refused = Counter(
            "camhub_pushes_refused_total", "Pushes refused, by code", ("code",), registry=self.registry
        )
        self.pushes_ended = Counter(
            "camhub_pushes_ended_total", "Pushes ended, by cause", ("cause",), registry=self.registry
        )
        self.onboardings = Counter(
            "camhub_onboardings_total", "Onboardings ended, by state", ("state",), registry=self.registry
        )
        self.onboardings_running = Gauge(
            "camhub_onboardings_running", "Onboardings running now", registry=self.registry
        )
        self.cameras = Gauge("camhub_cameras", "Cameras by health state", ("health",), registry=self.registry)
        self.health_probes = Counter(
            "camhub_health_probes_total", "Liveness probes by outcome", ("outcome",), registry=self.registry
        )
        self.camera_events = Counter(
            "camhub_camera_events_total",
            "Events of cameras by kind and outcome: kept, repeated or dropped",
            ("kind", "outcome"),
            registry=self.registry,
        )
        self.event_sources = Gauge(
            "camhub_event_sources",
            "Devices whose events are pulled, by state",
            ("state",),
            registry=self.registry,
        )
        self.decode_jobs = Counter(
            "camhub_decode_jobs_total",
            "Decode jobs by kind and outcome",
            ("kind", "outcome"),
            registry=self.registry,
        )
        self.decode_kills = Counter(
            "camhub_decode_kills_total",
            "Decode processes that a picture ended, by cause",
            ("cause",),
            registry=self.registry,
        )

    def exposition(self, *more: CollectorRegistry) -> bytes:
        """Return the Prometheus text format, with what other registries hold behind ours."""
        return b"".join(generate_latest(registry) for registry in (self.registry, *more))
