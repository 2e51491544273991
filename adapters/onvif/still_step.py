"""The still picture of a device: its address, what it says to a stranger, and to the owner (SEC-01, STR-13)."""

from adapters.errors import AdapterError, AuthenticationFailed, PermissionDenied, Unsupported
from adapters.onvif import mapping, snapshot
from adapters.onvif.addresses import AddressBook
from adapters.onvif.media import MediaReader, streams_of
from adapters.onvif.steps import Ended, Kit
from adapters.target import Target
from adapters.wire.http import HttpReply
from standards.reason import Reason


class StillStep:
    """Judges the snapshot address by status and media type; the picture itself is never read."""

    def __init__(self, kit: Kit, addresses: AddressBook) -> None:
        self._kit = kit
        self._addresses = addresses
        self.target: Target | None = None

    async def read(self, media: MediaReader, source: str) -> None:
        """Read the snapshot address, then ask it without and with the credential; no picture is read."""
        facts = ("snapshot.anonymous", "snapshot.status", "snapshot.content_type")
        main, _sub = streams_of(media.profiles, source)
        operation: object = media.snapshot_operation
        if main is None:
            if media.profiles_http is not None:
                self._kit.facts.missed(
                    facts, Reason.DENIED_BY_DEVICE, f"{operation}: no MediaProfile to ask for", operation
                )
            return
        try:
            reply = await media.snapshot_uri(main)
        except Unsupported as error:
            self._no_snapshot(error, operation)
            return
        except AdapterError as error:
            self._kit.facts.failed(facts, error, operation)
            self._kit.end_if_final(error, operation)
            return
        target = self._addresses.picture(mapping.uri(reply))
        if target is None:
            missing = f"{operation}: the answer holds no HTTP address"
            self._kit.facts.saw("snapshot.anonymous", "none", operation, reply.http)
            self._kit.facts.missed(facts, Reason.DENIED_BY_DEVICE, missing, operation)
            return
        self.target = target
        operation = snapshot.OPERATION
        try:
            answer = await snapshot.anonymous_get(self._kit.http, target, self._kit.request.deadline)
            if not self._judge_anonymous(answer):
                return
            if answer.status == 401:
                answer = await snapshot.login_get(
                    self._kit.http,
                    answer,
                    self._kit.request.credential,
                    self._kit.context,
                    self._kit.request.deadline,
                    read_body=False,
                    login_accepted=self._kit.session.login.accepted,
                )
        except PermissionDenied:
            self._kit.facts.saw("snapshot.status", 401, operation)
            self._kit.facts.missed(
                facts, Reason.NO_PRIVILEGE, f"{operation}: the login was refused here", operation
            )
        except AuthenticationFailed as error:
            self._kit.facts.failed(facts, error, operation)
            if error.credential_sent:
                self._kit.session.login.failure = error
                raise Ended(error, operation) from error
        except AdapterError as error:
            self._kit.facts.failed(facts, error, operation)
        else:
            self._kit.facts.saw("snapshot.status", answer.status, operation, answer)
            if answer.status == 200 and answer.media_type:
                self._kit.facts.saw("snapshot.content_type", answer.media_type[:64], operation, answer)
            else:
                detail = f"{operation}: HTTP {answer.status} names no media type"
                self._kit.facts.missed(("snapshot.content_type",), Reason.EMPTY_REPLY, detail, operation)

    def _no_snapshot(self, error: AdapterError, operation: object) -> None:
        """Record that the device has no snapshot address."""
        self._kit.facts.saw("snapshot.anonymous", "none", operation, self._kit.session.last_http)
        self._kit.facts.failed(("snapshot.status", "snapshot.content_type"), error, operation)

    def _judge_anonymous(self, answer: HttpReply) -> bool:
        """Record what the snapshot address says to a stranger. Return whether to go on."""
        operation = snapshot.OPERATION
        schemes = tuple(challenge.label for challenge in snapshot.offered(answer))
        self._kit.session.schemes.update(dict.fromkeys(schemes))
        if answer.status in {401, 403}:
            self._kit.facts.saw("snapshot.anonymous", "refused", operation, answer)
            return True
        if answer.status == 200 and not answer.media_type.startswith("text/"):
            self._kit.facts.saw("snapshot.anonymous", "answered", operation, answer)
            return True
        detail = f"{operation}: HTTP {answer.status} with {answer.media_type or 'no media type'}, no picture"
        decided = Reason.CONTRADICTORY if answer.status == 200 else Reason.DEVICE_FAULT
        self._kit.facts.missed(("snapshot.anonymous", "snapshot.content_type"), decided, detail, operation)
        self._kit.facts.saw("snapshot.status", answer.status, operation, answer)
        return False
