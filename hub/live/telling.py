"""How views are told: their state to browsers, their refusals as problems."""

from datetime import datetime
from typing import Any, Final

from hub.access.decide import Refused
from hub.catalog.types import Camera
from hub.live.session import ViewerSession
from hub.problems import STATUS, Problem
from hub.relay.errors import RelayRefused
from hub.texts import Both, Texts
from standards.observation import rfc3339

# Ends of views that no person decided
_TRY_AGAIN: Final = frozenset({"source_changed", "lease_expired", "send_failed", "dtls_failed"})


class Telling:
    """Puts views into the words of both languages."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts

    def state(self, session: ViewerSession) -> dict[str, Any]:
        """Return what the event stream says about a session."""
        return {
            "state": session.state,
            "since": rfc3339(session.since) if session.since else None,
            "cause": self.cause(session.code),
            "code": session.code,
        }

    def session(self, session: ViewerSession) -> dict[str, Any]:
        """Return the representation of a session."""
        return {
            "id": session.id,
            "camera_id": session.camera_id,
            "kind": session.kind,
            "purpose": session.ask.purpose,
            "incident": session.ask.incident,
            "started_at": rfc3339(session.view.started_at),
            "max_s": session.max_s,
            **self.layer(session),
            **self.state(session),
        }

    def layer(self, session: ViewerSession) -> dict[str, Any]:
        """Return what the event stream says about the layer of a session."""
        code = session.layer_code
        key = f"live.layer.{code}"
        cause = None if not code else self._texts.both(key) if self._texts.has(key) else self.cause(code)
        return {
            "layer": session.layer,
            "wanted": session.wanted,
            "layer_code": code,
            "layer_cause": cause,
            "rendition": session.rendition,
            "codec": session.codec,
            "why": session.why,
            "why_text": self._texts.both(f"live.why.{session.why}") if session.why else None,
            # a key frame of what is recoded is made when one is wanted: nobody waits for the camera's
            "key_frames_s": session.key_frames_s if session.rendition == "copy" else 0.0,
            "sound": session.sound,
            "sound_text": self._texts.both(f"live.sound.{session.sound}") if session.sound else None,
        }

    def cause(self, code: str) -> Both | None:
        """Return why a view stands as it does, in both languages; None where there is nothing to say."""
        if not code:
            return None
        key = code if self._texts.has(f"live.state.{code}") else "camera_error"
        return self._texts.both(f"live.state.{key}")

    def ended_early(self, code: str) -> Problem:
        """Return the problem for a view that ended while it was being opened; what nobody decided may be asked for again."""
        if code in STATUS:
            return Problem(code, self.words(code))
        if code in _TRY_AGAIN or code.startswith("relay_"):
            more = {"what": self.words(code)["what"], "retry_after_s": "1"}
            return Problem("no_room", more, headers={"retry-after": "1"})
        return Problem("conflict", self.words(code))

    def words(self, code: str) -> dict[str, Any]:
        """Return why a view ended, as a problem names it."""
        key = f"live.state.{code}"
        return {"what": self._texts.both(key if self._texts.has(key) else "live.state.camera_error")}

    @staticmethod
    def refused_change(error: RelayRefused) -> Problem:
        """Return the problem for a change of a running view that the relay refused."""
        if error.status == 404:
            return Problem("not_found", {"what": {"vi": "phiên xem", "en": "viewer session"}})
        if error.status == 422:
            return Problem("bad_sdp", {"what": error.detail})
        return Problem("relay_down", headers={"retry-after": str(max(1, round(error.retry_after_s)))})

    def refused_by_relay(self, error: RelayRefused, camera: Camera) -> Problem:
        """Return the problem for a view that the relay refused."""
        headers = {"retry-after": str(max(1, round(error.retry_after_s)))} if error.retry_after_s else {}
        match error.status:
            case 406:
                return Problem("codec_not_playable", {"camera_sends": codec_words(camera.playback.codec)})
            case 422 | 400:
                return Problem("bad_sdp", {"what": error.detail})
            case _ if error.code == "transcodes_full":
                return Problem(
                    "transcodes_full",
                    {"camera_sends": codec_words(camera.playback.codec)},
                    headers=headers or {"retry-after": "30"},
                )
            case _ if error.code in {"relay_restarted", "relay_stopped", "relay_down"}:
                return Problem("relay_down", headers=headers or {"retry-after": "2"})
            case _:
                wait = headers.get("retry-after", "5")
                what = self.cause(error.code) or error.detail
                return Problem(
                    "no_room", {"what": what, "retry_after_s": wait}, headers={"retry-after": wait}
                )


def refusal(answer: Refused, camera: Camera) -> Problem:
    """Return the problem for a refusal of `decide`; its code is the refusal's."""
    params: dict[str, Any] = {
        name: rfc3339(value) if isinstance(value, datetime) else value
        for name, value in answer.params.items()
    }
    if answer.code == "codec_not_playable":
        params.setdefault("camera_sends", codec_words(camera.playback.codec))
        return Problem("codec_not_playable", params)
    return Problem(answer.code if answer.code in STATUS else "no_role", params)


def codec_words(codec: str | None) -> str:
    """Return a codec as people write it: H.264, H.265, MJPEG."""
    if codec is None:
        return "?"
    return {"H264": "H.264", "H265": "H.265", "JPEG": "MJPEG"}.get(codec, codec)
