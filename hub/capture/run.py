"""One capture from the first question to the finished directory, and the facts of a replay.

Order: check the camera with a tap, redact in memory, let the person agree, write beside the destination, search what was
written, replay it, name it. Whatever stops in between leaves nothing behind.
"""

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from adapters.clock import Clock
from adapters.errors import AdapterError
from adapters.port import Permission, Progress
from adapters.registry import Registry
from adapters.secret import Credential, Secret
from adapters.target import Target
from adapters.wire.dialer import LAN_AND_LOOPBACK, Dialer
from adapters.wire.gate import CredentialGate, MemoryBook
from adapters.wire.masking import Masker
from adapters.wire.redaction import UUID, Kind
from hub.capture.bundle import CAPTURE, FORMAT, Bundle, build
from hub.capture.inspect import leaks
from hub.capture.recorder import Recorder
from hub.capture.replay import ReplayServer
from hub.compliance.checker import Checker, CheckOutcome, CheckRequest
from standards.observation import NotObserved, Observation, Observed, thaw
from standards.pack import Packs
from standards.reason import Reason
from standards.verdict import Verdict

STANDARD = "technical"
WINDOW_S = 4.0
LIMIT_S = 30.0
SHORTEST_PASSWORD = 4
_DIGITS_OF_A_SERIAL = 6  # in a hardware id: fewer say which model it is, more say which piece
_IDENTITY = ("manufacturer", "model", "firmware")
# Facts that say when or how fast, that name this machine's addresses, or that are the hub's own: no replay gives them again
_VARYING = (
    "reach.",
    "uptime.",
    "catalog.",
    "relay.",
    "place.",
    "consent.",
    "custodian.",
    "purpose.",
    "signage.",
)
_VARYING_ENDS = ("_s", "_ms", ".uri", "_octets")
_VARYING_NAMES = frozenset(
    {
        "target.scheme", "credential.factory_default", "credential.supplied", "time.utc_present", "time.offset_s",
        "device.endpoint_reference_stable",
    }
)  # fmt: skip
_SAYS_NOTHING = frozenset({Reason.NOT_ASKED, Reason.WINDOW, Reason.NO_DECLARATION})
_WORDS_OF_REPLIES = frozenset(
    {
        "true", "false", "http", "https", "rtsp", "admin", "onvif", "media", "main", "stream", "video", "profile",
        "token", "name", "camera", "device", "service", "user", "1234", "12345", "123456", "password", "masked",
    }
)  # fmt: skip


# What ends a run without telling anything about the camera
_TELLS_NOTHING = frozenset(
    {"login_refused", "cooling_down", "internal", "address_refused", "bad_target", "device_busy"}
)


class NotKept(Exception):
    """No bundle was kept: one sentence, and what to do."""

    def __init__(self, said: str, hint: str = "") -> None:
        super().__init__(said)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class CaptureRequest:
    """What to capture, as whom, and where to."""

    target: Target
    credential: Credential | None
    output: Path
    pictures: bool = False
    scripted: bool = False  # a camera that ships with camhub
    maker: str = ""  # the owner's word, where the camera does not tell
    model: str = ""
    window_s: float = WINDOW_S  # of media


@dataclass(slots=True)
class Captured:
    """What is about to be written."""

    bundle: Bundle
    outcome: CheckOutcome
    identity: Mapping[str, str]
    redacted: Mapping[str, int]
    dropped: int
    masker: Masker = field(repr=False)


class Capture:
    """One capture. Use once."""

    def __init__(self, request: CaptureRequest, registry: Registry, packs: Packs, clock: Clock) -> None:
        self._request = request
        self._registry = registry
        self._packs = packs
        self._clock = clock

    async def listen(self, progress: Callable[[Progress], None] = lambda _progress: None) -> Captured:
        """Check the camera once and redact what was heard, in memory.

        Raises:
            NotKept: the camera refused the login, did not answer, or the password cannot be told from other text.
        """
        request = self._request
        self._check_credential()
        if request.output.exists():
            raise NotKept(f"{request.output} exists already", "Name a directory that does not exist yet")
        recorder = Recorder(request.pictures)
        checker = Checker(
            self._registry,
            Dialer(LAN_AND_LOOPBACK),
            CredentialGate(MemoryBook(self._clock), self._clock),
            self._clock,
            self._packs,
            recorder,
        )
        outcome = await checker.run(
            CheckRequest(
                request.target,
                request.credential,
                Permission("", "command", self._clock.now()),
                STANDARD,
                window_s=request.window_s,
                runs=1,
                limit_s=LIMIT_S,
            ),
            progress,
        )
        self._check_outcome(outcome, recorder)
        return self._redacted(outcome, recorder)

    def _check_credential(self) -> None:
        credential = self._request.credential
        password = credential.password.reveal() if credential is not None else ""
        plain = password.casefold() in _WORDS_OF_REPLIES or set(password) <= set("*•")
        if password and (plain or len(password) < SHORTEST_PASSWORD):
            raise NotKept(
                "the password is too short, or a word that ordinary answers hold: it could not be found in them safely",
                "Make an account with another password in the camera for the capture",
            )

    def _check_outcome(self, outcome: CheckOutcome, recorder: Recorder) -> None:
        """Refuse to go on where there is no camera to show.

        Raises:
            NotKept: says why; the error's hint says what to do.
        """
        failure = outcome.failure
        if failure is not None and failure.code in _TELLS_NOTHING:
            raise NotKept(str(failure), failure.hint)
        if not any(heard.status for heard in recorder.exchanges):
            said = str(failure) if failure is not None else "the camera answered nothing"
            raise NotKept(said, failure.hint if isinstance(failure, AdapterError) else "")

    def _redacted(self, outcome: CheckOutcome, recorder: Recorder) -> Captured:
        request, observations = self._request, outcome.observations
        identity = {name: _told(observations.get(f"device.{name}")) for name in _IDENTITY}
        for name, text in (("manufacturer", request.maker), ("model", request.model)):
            identity[name] = identity[name] or text
        hardware = _told(observations.get("device.hardware_id"))
        particular = sum(map(str.isdigit, hardware)) >= _DIGITS_OF_A_SERIAL
        credential = request.credential
        masker = Masker(
            passwords=[credential.password] if credential is not None else [],
            users=[credential.user] if credential is not None else [],
            hosts=[request.target.host],
            keep=[*filter(None, identity.values()), *([] if particular else [hardware])],
        )
        for text in _words(observations.get("device.serial")):
            masker.note(Kind.SERIAL, text)
        for text in _words(observations.get("device.mac")):
            masker.note(Kind.MAC, text)
        for text in _words(observations.get("device.endpoint_reference")):
            masker.learn(text)
            if UUID.search(text) is None:
                masker.note(Kind.SERIAL, text.rpartition(":")[2])
        bundle = build(recorder, masker)
        return Captured(bundle, outcome, identity, masker.counts, recorder.dropped, masker)

    async def keep(self, captured: Captured) -> Path:
        """Write, search, replay, and put the directory in its place in one step.

        Raises:
            NotKept: something that was in use is still in it, or the adapters cannot replay it; nothing is left.
        """
        output = self._request.output
        try:
            folder = _beside(output)
        except OSError as error:
            raise NotKept(
                f"{output.parent} cannot be written: {error.strerror}", "Name another directory"
            ) from error
        try:
            _lay_out(folder, captured.bundle)
            self._search(folder, captured)
            capture = self._document(captured)
            _write(folder, capture)
            await self._replay(folder, capture, captured.outcome)
            _write(folder, capture)
            self._search(folder, captured)
            _put_in_place(folder, output)
        except OSError as error:
            raise NotKept(
                f"{output} cannot be written: {error.strerror}", "Name another directory"
            ) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return output

    async def _replay(self, folder: Path, capture: dict[str, Any], live: CheckOutcome) -> None:
        """Replay twice and put what both gave into `capture`.

        Raises:
            NotKept: the replay ends otherwise than the camera's own run did.
        """
        first = await replay_facts(folder, self._registry, self._packs, self._clock)
        again = await replay_facts(folder, self._registry, self._packs, self._clock)
        if first.failure != capture["failure"]:
            raise NotKept(
                f"the adapters cannot replay what was recorded (it ends with {first.failure or 'no failure'}, "
                f"the camera's own run with {capture['failure'] or 'none'})",
                "This is a fault of camhub; report it with the camera's model",
            )
        capture["facts"] = {name: told for name, told in first.facts.items() if again.facts.get(name) == told}
        seen = {name for name, told in live.observations.items() if isinstance(told, Observed)}
        kept = {name for name, told in capture["facts"].items() if "value" in told}
        capture["varies"] = sorted(seen - kept)

    def _search(self, folder: Path, captured: Captured) -> None:
        credential = self._request.credential
        passwords = [credential.password] if credential is not None else []
        found = leaks(folder, captured.masker.originals(), passwords)
        if found:
            places = "; ".join(str(leak) for leak in found[:3])
            raise NotKept(
                f"the bundle still holds what must not leave: {places}",
                "Nothing was kept. This is a fault of camhub; report it without the files",
            )

    def _document(self, captured: Captured) -> dict[str, Any]:
        request, outcome, masker = self._request, captured.outcome, captured.masker
        rows = [json.loads(line) for line in captured.bundle.files["exchanges.jsonl"].splitlines()]
        ports: dict[str, str] = {str(request.target.port): ""}
        for row in rows:
            if row["reply"]["status"]:
                ports[str(row["port"])] = row["protocol"]
        assessment = outcome.assessment
        return {
            "format": FORMAT,
            "camhub": version("camhub"),
            "adapters": {
                manifest.name: manifest.version
                for scheme, manifest in self._registry.manifests.items()
                if scheme == request.target.scheme
                or any(offer.target.scheme == scheme for offer in outcome.offers)
            },
            "scheme": request.target.scheme,
            "path": masker.text(request.target.path),
            "ports": ports,
            "captured_on": f"{outcome.started_at:%Y-%m-%d}",
            "identity": dict(captured.identity),
            "evidence": "scripted" if request.scripted else "device",
            "interfaces": sorted(_words(outcome.observations.get("target.interfaces"))),
            "pictures": request.pictures,
            "credential": request.credential is not None,
            "facts": {},
            "varies": [],
            "measured": _measured(outcome.observations),
            "tolerances": _tolerances(outcome.observations),
            "decision": {
                "standard": STANDARD,
                "decision": str(assessment.decision),
                "failed": [one.rule.id for one in assessment.findings if one.verdict is Verdict.FAIL],
                "unseen": [
                    one.rule.id
                    for one in assessment.findings
                    if one.verdict in (Verdict.NOT_CHECKED, Verdict.INCONCLUSIVE, Verdict.ERROR)
                ],
            },
            "failure": outcome.failure.code if outcome.failure is not None else "",
            "redacted": captured.redacted,
        }


def _beside(output: Path) -> Path:
    """Return a fresh directory on the same file system as `output`."""
    output.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".capture-", dir=output.parent))
    folder.chmod(0o755)
    return folder


def _lay_out(folder: Path, bundle: Bundle) -> None:
    for name, data in bundle.files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)


def _write(folder: Path, capture: Mapping[str, Any]) -> None:
    (folder / CAPTURE).write_text(json.dumps(capture, ensure_ascii=False, indent=1) + "\n", "utf-8")


def _put_in_place(folder: Path, output: Path) -> None:
    folder.rename(output)


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay gave: facts as `capture.json` has them, the failure's code, requests that were never recorded."""

    facts: dict[str, dict[str, Any]]
    failure: str
    unknown: tuple[str, ...]


async def replay_facts(folder: Path, registry: Registry, packs: Packs, clock: Clock) -> Replayed:
    """Probe a bundle through the real adapters and return what they saw.

    Raises:
        hub.capture.replay.BadBundle: it cannot be read.
    """
    async with ReplayServer(folder) as server:
        checker = Checker(registry, server.dialer, CredentialGate(MemoryBook(clock), clock), clock, packs)
        credential = Credential("masked", Secret("masked")) if server.capture["credential"] else None
        outcome = await checker.run(
            CheckRequest(
                server.target,
                credential,
                Permission("", "replay", clock.now()),
                STANDARD,
                window_s=0.0,
                runs=1,
                limit_s=LIMIT_S,
            )
        )
        facts = {
            name: json.loads(server.as_captured(json.dumps(_fact(told), ensure_ascii=False)))
            for name, told in sorted(outcome.observations.items())
            if _compared(name, told)
        }
        return Replayed(
            facts, outcome.failure.code if outcome.failure is not None else "", tuple(server.unknown)
        )


def _compared(name: str, told: Observation) -> bool:
    """Tell whether a fact is the camera's, and the same in every run."""
    if name.startswith(_VARYING) or name.endswith(_VARYING_ENDS) or name in _VARYING_NAMES:
        return False
    return isinstance(told, Observed) or told.reason not in _SAYS_NOTHING


def _fact(told: Observation) -> dict[str, Any]:
    if isinstance(told, Observed):
        return {"value": thaw(told.value)}
    return {"reason": str(told.reason)}


def _told(observation: Observation | None) -> str:
    return str(observation.value) if isinstance(observation, Observed) else ""


def _words(observation: Observation | None) -> list[str]:
    if not isinstance(observation, Observed):
        return []
    value = observation.value
    return [str(one) for one in value] if isinstance(value, (tuple, list)) else [str(value)]


def _measured(observations: Mapping[str, Observation]) -> dict[str, float | int]:
    return {
        name: told.value
        for name, told in sorted(observations.items())
        if name.startswith("stream.")
        and ".claimed_" not in name
        and isinstance(told, Observed)
        and isinstance(told.value, (int, float))
        and not isinstance(told.value, bool)
    }


def _tolerances(observations: Mapping[str, Observation]) -> list[str]:
    found: set[str] = set()
    for name, told in observations.items():
        if name.endswith(".quirks") and not isinstance(told, NotObserved):
            found.update(_words(told))
    return sorted(found)
