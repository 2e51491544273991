"""The adapter of cameras that push: measures the running push, and says of everything else why it cannot be seen."""

from collections.abc import Iterable
from typing import Final

from adapters.deadline import Deadline
from adapters.errors import AdapterError, NotPushed
from adapters.port import (
    MediaSource,
    ProbeContext,
    ProbeRequest,
    ProbeResult,
    Progress,
    PushSeen,
    StreamOffer,
)
from adapters.secret import Credential
from adapters.target import Target
from standards.facts import FACTS
from standards.observation import Method, NotObserved, Observation, Observations, Observed, Provenance, freeze
from standards.reason import Reason

SOURCE: Final = "whip/1"
NOTHING: Final = "no encoder pushed anything that could be measured"
_HINT: Final = "Make a publishing token on the camera's page and start the encoder with it"
_NO_CREDENTIAL: Final = frozenset({"credential.accepted", "credential.factory_default"})


class WhipAdapter:
    """Implements `adapters.port.Adapter` for ``whip://``."""

    async def probe(self, request: ProbeRequest, context: ProbeContext) -> ProbeResult:
        """Measure what is pushed now. Where nothing is, `failure` is `NotPushed` and every fact says so."""
        seen: PushSeen | None = None
        failure: AdapterError | None = None
        context.progress(Progress("picture", "running"))
        try:
            if context.pushes is None:
                raise NotPushed(
                    f"{request.target.host} pushes to a hub; outside it nothing can be measured",
                    peer=request.target.host,
                    operation="measure",
                    hint=_HINT,
                )
            window_s = request.window_s
            seen = await context.pushes.examine(
                request.target, request.deadline, window_s=window_s, samples=request.samples
            )
            context.progress(Progress("picture", "ok", seen.codec))
        except AdapterError as error:
            failure = error
            context.progress(Progress("picture", "failed", str(error)))
        facts = _facts(request.target, context, seen, failure)
        if seen is None:
            return ProbeResult(Observations(facts), failure=failure)
        width, height = (seen.facts.get(name, 0) for name in ("width", "height"))
        offer = StreamOffer(
            request.target,
            "main",
            seen.codec,
            width if isinstance(width, int) else 0,
            height if isinstance(height, int) else 0,
        )
        samples = (seen.sample,) if seen.sample is not None else ()
        return ProbeResult(Observations(facts), (offer,), samples=samples)

    async def open(
        self,
        offer: StreamOffer,
        credential: Credential | None,
        context: ProbeContext,
        deadline: Deadline,
        *,
        transport: str = "tcp",
        audio: bool = False,
    ) -> MediaSource:
        """Refuse: the relay worker that receives a push opens it, and nobody else has it.

        Raises:
            NotPushed: always.
        """
        del credential, context, deadline, transport, audio
        raise NotPushed(
            f"{offer.target.host} pushes to a relay worker; it is opened there alone",
            peer=offer.target.host,
            operation="open",
            hint=_HINT,
        )


def _facts(
    target: Target, context: ProbeContext, seen: PushSeen | None, failure: AdapterError | None
) -> dict[str, Observation]:
    def where(operation: str) -> Provenance:
        return Provenance(Method.TEST, SOURCE, operation, target.host, context.clock.now())

    given, measured = where("address"), where("WHIP media")
    facts: dict[str, Observation] = {
        "target.interfaces": Observed(("whip",), given),
        "snapshot.anonymous": Observed("none", given),
        "stream.main.uri": Observed(target.url, given),
        **{name: NotObserved(Reason.NOT_ASKED, "an encoder shows a token", given) for name in _NO_CREDENTIAL},
    }
    if seen is None:
        told = NOTHING if failure is None or isinstance(failure, NotPushed) else str(failure)
        missing = NotObserved(Reason.NOT_ASKED if failure is None else failure.reason, told, measured)
        return {**facts, **{name: missing for name in _of_stream() if name not in facts}}
    facts["stream.main.codec"] = Observed(seen.codec, measured)
    facts["stream.main.audio_codecs"] = Observed(freeze(seen.audio_codecs), measured)
    for name, value in seen.facts.items():
        facts[f"stream.main.{name}"] = Observed(freeze(value), measured)
    for name, (why, detail) in seen.missing.items():
        facts[f"stream.main.{name}"] = NotObserved(why, detail, measured)
    unasked = NotObserved(Reason.WINDOW, "no media window was asked for", measured)
    return {**dict.fromkeys(_of_stream(), unasked), **facts}


def _of_stream() -> Iterable[str]:
    return (name for name in FACTS if name.startswith("stream.main.") and ".claimed_" not in name)
