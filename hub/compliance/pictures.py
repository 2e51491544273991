"""What the pictures of a check say: the coded pictures that a probe kept go to the decode process, numbers come back.

The pictures themselves are never stored and never logged; they end with the check.
"""

from collections.abc import Mapping

import structlog

from adapters.clock import Clock
from adapters.deadline import Deadline
from adapters.port import CodedSample, ProbeResult
from hub.compliance.memory import is_night
from hub.decode.errors import DecodeError, NotDecodable
from hub.decode.limits import CODECS
from hub.decode.service import SOURCE, DecodeService, PictureFacts, Still
from standards.observation import Method, NotObserved, Observation, Observed, Provenance, Value
from standards.reason import Reason

log = structlog.get_logger(__name__)

WANTED = 10  # pictures of a media window: VQ-06 looks at ten
STILL_PX = 640  # width of a still in a report: enough to recognise a view
RESERVED_S = 1.5  # kept back from the adapters; ten key frames of 4K take 0.4 to 0.7 s of processor time
NAMES = (
    "decoded",
    "luma_mean",
    "luma_deviation",
    "sharpness",
    "changes",
    "changed_share",
    "still_s",
    "span_s",
    "width",
    "height",
)


async def picture_facts(
    result: ProbeResult,
    decode: DecodeService | None,
    clock: Clock,
    deadline: Deadline,
    *,
    window_s: float,
    peer: str,
    device: str,
) -> dict[str, Observation]:
    """Return ``picture.main.*`` (and of every other layer that was sampled): seen, or why not."""
    facts: dict[str, Observation] = {}
    for sample in result.samples:
        facts |= await _of_sample(sample, decode, clock, deadline, peer=peer, device=device)
    if not any(sample.layer == "main" for sample in result.samples):
        why = _why_none(result, decode, window_s)
        if why is not None:
            facts |= _unseen("main", *why, Provenance(Method.TEST, SOURCE, "decode", peer, clock.now()))
    return facts


async def still_of(
    result: ProbeResult, decode: DecodeService | None, deadline: Deadline, *, device: str
) -> Still | None:
    """Return the last picture of the main stream that was sampled, coded anew; None where there is none to show."""
    for sample in result.samples:
        if sample.layer != "main" or decode is None or sample.codec not in CODECS:
            continue
        for picture in reversed(sample.pictures):
            try:
                return await decode.still(
                    picture, sample.codec, camera=device, max_width=STILL_PX, deadline=deadline
                )
            except DecodeError as error:
                log.info("check.still_not_made", code=error.code)
    return None


async def _of_sample(
    sample: CodedSample,
    decode: DecodeService | None,
    clock: Clock,
    deadline: Deadline,
    *,
    peer: str,
    device: str,
) -> dict[str, Observation]:
    count = len(sample.pictures)
    operation = f"decode of {count} picture{'' if count == 1 else 's'}"
    began_s = clock.monotonic()

    def provenance() -> Provenance:
        seconds = clock.monotonic() - began_s
        return Provenance(Method.TEST, SOURCE, operation, peer, clock.now(), duration_s=seconds)

    if decode is None:
        return _unseen(sample.layer, Reason.NOT_ASKED, "pictures are not decoded here", provenance())
    if sample.codec not in CODECS:
        detail = f"pictures coded as {sample.codec[:20]} are not decoded"
        return _unseen(sample.layer, Reason.NOT_ASKED, detail, provenance())
    try:
        told = await decode.judge(sample, camera=device, deadline=deadline)
    except DecodeError as error:
        log.info("check.pictures_not_judged", peer=peer, layer=sample.layer, code=error.code)
        facts = _unseen(sample.layer, error.reason, str(error), provenance())
        if isinstance(error, NotDecodable):
            facts[f"picture.{sample.layer}.decoded"] = Observed(0, provenance())
        return facts
    seen = provenance()
    dark_outside = is_night(clock.now())
    values = {**_values(told), "by_day": not dark_outside}
    facts = {f"picture.{sample.layer}.{name}": Observed(value, seen) for name, value in values.items()}
    if sample.layer == "main" and dark_outside:
        facts |= {f"night.{name}": Observed(values[name], seen) for name in ("luma_mean", "luma_deviation")}
    return facts


def _values(told: PictureFacts) -> Mapping[str, Value]:
    return {name: getattr(told, name) for name in NAMES}


def _unseen(layer: str, reason: Reason, detail: str, told: Provenance) -> dict[str, Observation]:
    return {f"picture.{layer}.{name}": NotObserved(reason, detail, told) for name in (*NAMES, "by_day")}


def _why_none(
    result: ProbeResult, decode: DecodeService | None, window_s: float
) -> tuple[Reason, str] | None:
    """Return why there is no picture of the main stream to decode; `None` where the probe did not come so far."""
    if decode is None:
        return Reason.NOT_ASKED, "pictures are not decoded here"
    if window_s <= 0:
        return Reason.NOT_ASKED, "the stream was not watched for a while"
    stream = result.observations.get("stream.main.codec")
    if isinstance(stream, NotObserved):
        return stream.reason, stream.detail
    if result.failure is not None or stream is None:
        return None
    return Reason.TOO_FEW_SAMPLES, "no whole key frame came while the stream was watched"
