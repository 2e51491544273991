"""What WHEP and WHIP have in common on the wire: bodies of SDP, and the validator of an ICE session (RFC 9725 4.3.1)."""

from typing import Any, Final

from litestar import Request

from hub.problems import Problem

SDP: Final = "application/sdp"
FRAGMENT: Final = "application/trickle-ice-sdpfrag"
MAX_SDP: Final = 65_536


async def sdp_text(request: Request[Any, Any, Any], wanted: str) -> str:
    """Return a body of one media type as text.

    Raises:
        Problem: ``media_type``, ``too_large`` or ``bad_sdp``.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != wanted:
        raise Problem("media_type", {"wanted": wanted})
    body = await request.body()
    if len(body) > MAX_SDP:
        raise Problem("too_large", {"limit": MAX_SDP})
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        what = {"vi": "không phải UTF-8", "en": "it is not UTF-8"}
        raise Problem("bad_sdp", {"what": what}) from error


def same_ice_session(request: Request[Any, Any, Any], etag: str) -> None:
    """Check the validator of a change of the ICE session; ``*`` asks for a restart (RFC 9725 4.3.3).

    Raises:
        Problem: ``if_match_needed`` or ``ice_restarted``.
    """
    said = request.headers.get("if-match", "").strip()
    if not said:
        raise Problem("if_match_needed", headers={"etag": etag})
    if said.strip('"') != "*" and etag not in {one.strip() for one in said.split(",")}:
        raise Problem("ice_restarted", headers={"etag": etag})
