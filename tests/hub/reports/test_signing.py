"""Signatures of reports: what is refused, and how clearly."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hub.cli.report import report
from hub.reports.signing import (
    About,
    KeysUnreadable,
    Outcome,
    SigningKeys,
    key_id_of,
    read_public_keys,
    verify,
    verify_embedded,
)
from hub.store.errors import SealError

DATA = b"%PDF a report of a ward"
ABOUT = About(
    "area", "98001", "pdf", "2026-11-21T03:00:00.000Z", ({"id": "base", "version": "1", "hash": "ab"},), "h"
)


@pytest.fixture
def keys(tmp_path: Path) -> SigningKeys:
    """Fresh keys of a hub."""
    return SigningKeys.open(tmp_path / "signing-keys")


def test_what_was_signed_is_good_and_says_what_it_is_about(keys: SigningKeys) -> None:
    """The statement names the bytes, the area, the standard and the moment."""
    checked = verify(DATA, keys.sign(DATA, ABOUT), keys.public)
    assert checked.outcome is Outcome.GOOD
    assert checked.statement["subject"] == "98001"
    assert checked.statement["standards"] == [{"id": "base", "version": "1", "hash": "ab"}]


def test_a_flipped_byte_and_another_file_are_refused(keys: SigningKeys) -> None:
    """Any other bytes under the same signature are bad."""
    signature = keys.sign(DATA, ABOUT)
    for place in range(len(DATA)):
        flipped = DATA[:place] + bytes([DATA[place] ^ 1]) + DATA[place + 1 :]
        assert verify(flipped, signature, keys.public).outcome is Outcome.CHANGED
    assert verify(b"another file", signature, keys.public).outcome is Outcome.CHANGED


def test_a_changed_statement_is_refused(keys: SigningKeys) -> None:
    """Nobody rewrites what a signature says: every member of the statement is signed."""
    told = json.loads(keys.sign(DATA, ABOUT))
    for name in told["statement"]:
        if name in ("type", "version", "algorithm"):
            continue
        changed = {**told, "statement": {**told["statement"], name: "x"}}
        assert verify(DATA, json.dumps(changed).encode(), keys.public).outcome is Outcome.FORGED


def test_another_hubs_key_is_refused(keys: SigningKeys, tmp_path: Path) -> None:
    """A signature that holds by a key nobody trusts is bad, though it fits the bytes."""
    stranger = SigningKeys.open(tmp_path / "other")
    assert verify(DATA, stranger.sign(DATA, ABOUT), keys.public).outcome is Outcome.OTHER_KEY
    told = json.loads(stranger.sign(DATA, ABOUT))
    told["statement"]["key_id"] = next(iter(keys.public))
    assert verify(DATA, json.dumps(told).encode(), keys.public).outcome is Outcome.FORGED


def test_a_key_under_another_keys_name_is_refused(
    keys: SigningKeys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole signature by a stranger that names the hub's key is forged; a trusted name counts with its own bytes alone."""
    stranger, own = SigningKeys.open(tmp_path / "other"), next(iter(keys.public))
    with monkeypatch.context() as patched:
        patched.setattr("hub.reports.signing.key_id_of", lambda _public: own)
        signature = stranger.sign(DATA, ABOUT)

    assert json.loads(signature)["statement"]["key_id"] == own
    assert verify(DATA, signature, keys.public).outcome is Outcome.FORGED
    swapped = {next(iter(stranger.public)): next(iter(keys.public.values()))}
    assert verify(DATA, stranger.sign(DATA, ABOUT), swapped).outcome is Outcome.OTHER_KEY


def test_a_cut_signature_is_refused(keys: SigningKeys) -> None:
    """Every prefix of a signature file is bad, and nothing raises."""
    signature = keys.sign(DATA, ABOUT).strip()
    for end in range(len(signature)):
        assert verify(DATA, signature[:end], keys.public).outcome is Outcome.BROKEN


@pytest.mark.parametrize(
    "told", [None, 3, [], {}, {"statement": 1}, {"statement": {}, "public_key": 5, "signature": ""}]
)
def test_json_that_is_no_signature_is_refused(keys: SigningKeys, told: Any) -> None:
    """Whatever JSON stands there, the answer is a word."""
    assert verify(DATA, json.dumps(told).encode(), keys.public).outcome is Outcome.BROKEN


def test_without_trusted_keys_nothing_is_good(keys: SigningKeys) -> None:
    """A signature that carries its own key proves nothing about who signed: it cannot be told."""
    assert verify(DATA, keys.sign(DATA, ABOUT), None).outcome is Outcome.UNTRUSTED
    assert Outcome.UNTRUSTED.exit_status == 2


def test_a_newer_form_cannot_be_checked(keys: SigningKeys) -> None:
    """A later version is neither good nor bad here."""
    told = json.loads(keys.sign(DATA, ABOUT))
    told["statement"]["version"] = 2
    assert verify(DATA, json.dumps(told).encode(), keys.public).outcome is Outcome.NEWER


def test_old_keys_stay_after_a_rotation(keys: SigningKeys) -> None:
    """The new key signs; what the old one signed stays good; both are published."""
    old = keys.sign(DATA, ABOUT)
    new = keys.rotated()
    assert len(new.public) == 2
    assert verify(DATA, old, new.public).outcome is Outcome.GOOD
    assert verify(DATA, new.sign(DATA, ABOUT), keys.public).outcome is Outcome.OTHER_KEY
    assert [one["signs"] for one in new.as_json()] == [True, False]


def test_a_json_report_carries_its_own_signature(keys: SigningKeys) -> None:
    """Embedded, the signature covers everything else; a changed member is seen."""
    signed = keys.embedded({"total": 5, "area": "x"}, ABOUT)
    found = verify_embedded(signed, keys.public)
    assert found is not None
    assert found.outcome is Outcome.GOOD
    changed = verify_embedded(signed.replace(b'"total":5', b'"total":6'), keys.public)
    assert changed is not None
    assert changed.outcome is Outcome.CHANGED
    assert verify_embedded(b"{}", keys.public) is None


def test_keys_are_read_in_each_form_in_which_they_are_given_out(keys: SigningKeys) -> None:
    """What a hub publishes, a list, base64 alone and PEM all name the same key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    ((name, raw),) = keys.public.items()
    pem = Ed25519PublicKey.from_public_bytes(raw).public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    for text in (
        json.dumps({"report_keys": keys.as_json()}).encode(),
        json.dumps(keys.as_json()).encode(),
        base64.b64encode(raw),
        pem,
    ):
        assert read_public_keys(text) == {name: raw}
    assert key_id_of(raw) == name


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"nonsense!", b"AAAA", b"-----BEGIN PUBLIC KEY-----\nAAAA\n", b"[1]"]
)
def test_files_that_hold_no_key_are_refused(text: bytes) -> None:
    """A clear error, not a key."""
    with pytest.raises(KeysUnreadable):
        read_public_keys(text)


def test_a_key_file_that_others_may_read_is_refused(keys: SigningKeys, tmp_path: Path) -> None:
    """The signing key is guarded as the sealing one is; its repr shows no key."""
    path = tmp_path / "signing-keys"
    path.chmod(0o644)
    with pytest.raises(SealError, match="chmod 600"):
        SigningKeys.open(path)
    assert path.read_text().split()[1] not in repr(keys)


def test_verify_on_the_command_line_tells_good_bad_and_unknown_apart(
    keys: SigningKeys, tmp_path: Path
) -> None:
    """Exit status 0, 1 and 2, each with one sentence."""
    file, beside, trusted = tmp_path / "r.pdf", tmp_path / "r.pdf.sig", tmp_path / "keys.json"
    file.write_bytes(DATA)
    beside.write_bytes(keys.sign(DATA, ABOUT))
    trusted.write_text(json.dumps({"report_keys": keys.as_json()}))
    given = ["verify", str(file), "--key", str(trusted), "--lang", "en"]
    good = CliRunner().invoke(report, given)
    assert good.exit_code == 0
    assert "very bytes" in good.output
    file.write_bytes(DATA + b" ")
    assert CliRunner().invoke(report, given).exit_code == 1
    file.write_bytes(DATA)
    beside.write_bytes(beside.read_bytes()[:100])
    assert CliRunner().invoke(report, given).exit_code == 1
    beside.unlink()
    assert CliRunner().invoke(report, given).exit_code == 2
    assert CliRunner().invoke(report, [*given, "--signature", str(tmp_path / "none")]).exit_code == 2
