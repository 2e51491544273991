"""What a refusing status means as an error: shared by RTSP replies and the HTTP head of a tunnel."""

from adapters.errors import AdapterError, CameraFault, PermissionDenied, Unsupported
from adapters.rtsp.message import Response

_HINTS = {
    404: "Check the path of the address: the camera has no such stream",
    454: "Check the path of the address: the camera has no such stream",
    453: "The camera has no bandwidth left: close other viewers",
    500: "The camera is busy or has too many clients: close other viewers, or restart it",
    503: "The camera is busy or has too many clients: close other viewers, or restart it",
}


def refusal(response: Response, *, peer: str, operation: str) -> AdapterError:
    """Return the error for a response that is neither 2xx nor 401."""
    text = f"{response.status} {response.reason[:60]}".strip()
    said = f"{operation} of {peer} was answered with {text}"
    if response.status == 403:
        return PermissionDenied(
            said, peer=peer, operation=operation, hint="Give the account the right to view this stream"
        )
    if response.status == 461:
        return Unsupported(
            said,
            peer=peer,
            operation=operation,
            hint="The camera offers neither TCP nor UDP unicast for this stream",
        )
    hint = _HINTS.get(response.status, "See the camera's log, or update its firmware")
    return CameraFault(said, fault=text, status=response.status, peer=peer, operation=operation, hint=hint)
