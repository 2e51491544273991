"""What can go wrong between the hub and a camera.

::

    AdapterError                code                 standards.Reason
    ├── BadTarget               bad_target           (the address as typed; nothing was sent)
    ├── AddressRefused          address_refused      (the dialer's rules; nothing was sent)
    ├── Unreachable             unreachable          unreachable
    ├── NotPushed               not_pushed           not_asked
    ├── TimedOut                timed_out            timed_out
    ├── CoolingDown             cooling_down         no_credential
    ├── AuthenticationFailed    login_refused        refused
    ├── PermissionDenied        no_privilege         no_privilege
    ├── NotPermitted            not_permitted        no_permission
    ├── RemoteProtocolError     <reason>             not_the_protocol, malformed_*, empty_reply
    ├── CameraFault             device_fault         device_fault
    ├── Unsupported             unsupported          denied_by_device
    ├── TlsFailed               tls_failed           tls_failed
    └── LocalProtocolError      internal             internal (our bug)

A message says which operation on which peer failed and what was seen; `hint` says what to do next. Neither
holds a secret, and a message never repeats the text of its cause.
"""

from datetime import datetime

from standards.reason import Reason


class AdapterError(Exception):
    """Base of all. `code` is stable, `reason` is the word for observations, `hint` the next step."""

    code = "adapter_error"
    reason = Reason.INTERNAL
    retryable = False

    def __init__(self, message: str, *, peer: str = "", operation: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.peer = peer
        self.operation = operation
        self.hint = hint


class BadTarget(AdapterError):
    """The address as typed cannot be understood. Nothing was sent."""

    code = "bad_target"


class AddressRefused(AdapterError):
    """The guarded dialer does not dial this address. Nothing was sent."""

    code = "address_refused"
    reason = Reason.NO_PERMISSION


class Unreachable(AdapterError):
    """No connection: name not resolved, refused, no route, closed at once."""

    code = "unreachable"
    reason = Reason.UNREACHABLE
    retryable = True


class NotPushed(AdapterError):
    """No encoder sends this camera's stream to the hub now (WHIP): there is nothing that could be asked."""

    code = "not_pushed"
    reason = Reason.NOT_ASKED
    retryable = True


class TimedOut(AdapterError):
    """A phase did not end in time."""

    code = "timed_out"
    reason = Reason.TIMED_OUT
    retryable = True

    def __init__(self, phase: str, *, waited_s: float, peer: str = "", hint: str = "") -> None:
        where = f" of {peer}" if peer else ""
        super().__init__(
            f"{phase}{where}: no answer in {waited_s:.1f} s", peer=peer, operation=phase, hint=hint
        )
        self.phase = phase
        self.waited_s = waited_s


class CoolingDown(AdapterError):
    """The credential was refused a short while ago; nothing is sent until `until`."""

    code = "cooling_down"
    reason = Reason.NO_CREDENTIAL

    def __init__(self, message: str, *, until: datetime, peer: str = "", hint: str = "") -> None:
        super().__init__(message, peer=peer, operation="login", hint=hint)
        self.until = until


class AuthenticationFailed(AdapterError):
    """The camera refused the supplied credential (or wants one and none was supplied)."""

    code = "login_refused"
    reason = Reason.REFUSED

    def __init__(
        self,
        message: str,
        *,
        scheme: str,
        credential_sent: bool,
        peer: str = "",
        operation: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(message, peer=peer, operation=operation, hint=hint)
        self.scheme = scheme
        self.credential_sent = credential_sent


class PermissionDenied(AdapterError):
    """The login was accepted, the account may not do this."""

    code = "no_privilege"
    reason = Reason.NO_PRIVILEGE


class NotPermitted(AdapterError):
    """Nobody gave leave for this on this camera (events and PTZ are for municipal ones). Nothing was sent."""

    code = "not_permitted"
    reason = Reason.NO_PERMISSION


class RemoteProtocolError(AdapterError):
    """The peer broke the protocol; `reason` says which, `excerpt` shows bounded bytes, `spec` the clause."""

    code = "remote_protocol_error"
    retryable = True

    def __init__(
        self,
        message: str,
        *,
        reason: Reason,
        excerpt: str = "",
        spec: str = "",
        peer: str = "",
        operation: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(message, peer=peer, operation=operation, hint=hint)
        self.reason = reason
        self.code = str(reason)
        self.excerpt = excerpt
        self.spec = spec


class CameraFault(AdapterError):
    """The camera answered with a fault or an error status."""

    code = "device_fault"
    reason = Reason.DEVICE_FAULT
    retryable = True

    def __init__(
        self,
        message: str,
        *,
        fault: str,
        status: int = 0,
        peer: str = "",
        operation: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(message, peer=peer, operation=operation, hint=hint)
        self.fault = fault
        self.status = status


class Unsupported(AdapterError):
    """The camera said that it does not support the feature, or we cannot handle what it offers."""

    code = "unsupported"
    reason = Reason.DENIED_BY_DEVICE


class TlsFailed(AdapterError):
    """The TLS handshake failed."""

    code = "tls_failed"
    reason = Reason.TLS_FAILED


class LocalProtocolError(AdapterError):
    """We were about to break the protocol: our bug."""

    code = "internal"
