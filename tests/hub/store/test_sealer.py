"""The seal on camera credentials."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.secret import Secret
from hub.store.errors import SealError
from hub.store.sealer import Sealer


def test_what_was_sealed_opens_after_a_restart(tmp_path: Path) -> None:
    """The key file is made at first use and read at the next."""
    sealed = Sealer.open(tmp_path / "data" / "keys").seal(Secret("mật khẩu"), "camera-1", "password")

    assert Sealer.open(tmp_path / "data" / "keys").unseal(sealed, "camera-1", "password") == Secret(
        "mật khẩu"
    )
    assert "mật khẩu".encode() not in sealed


def test_the_key_file_is_private(tmp_path: Path) -> None:
    """The key file is readable by its owner only; one that is not is refused with the command that mends it."""
    path = tmp_path / "keys"
    Sealer.open(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["keys"]

    path.chmod(0o640)
    with pytest.raises(SealError, match="chmod 600"):
        Sealer.open(path)


def test_a_sealed_value_belongs_to_one_field_of_one_record(tmp_path: Path) -> None:
    """Copied to another camera or another field a sealed value does not open."""
    sealer = Sealer.open(tmp_path / "keys")
    sealed = sealer.seal(Secret("x"), "camera-1", "password")

    for record, field in (("camera-2", "password"), ("camera-1", "user")):
        with pytest.raises(SealError, match="belongs to another"):
            sealer.unseal(sealed, record, field)


def test_another_key_file_is_named(tmp_path: Path) -> None:
    """With the wrong key file the sentence names the key that is missing."""
    sealed = Sealer.open(tmp_path / "one").seal(Secret("x"), "camera-1", "password")

    with pytest.raises(SealError, match=sealed[1:9].hex()):
        Sealer.open(tmp_path / "two").unseal(sealed, "camera-1", "password")


def test_an_older_key_still_opens(tmp_path: Path) -> None:
    """Keys added in front seal from then on, those behind still open."""
    old = tmp_path / "keys"
    sealed = Sealer.open(old).seal(Secret("x"), "camera-1", "password")
    Sealer.open(tmp_path / "new")
    old.write_text((tmp_path / "new").read_text() + old.read_text())
    both = Sealer.open(old)

    assert both.unseal(sealed, "camera-1", "password") == Secret("x")
    assert both.seal(Secret("x"), "camera-1", "password")[1:9] != sealed[1:9]


@pytest.mark.parametrize("content", ["", "\n\n", "word\n", "0011223344556677 !!!\n", "00 AAAA\n", "é\n"])
def test_a_broken_key_file_is_refused(tmp_path: Path, content: str) -> None:
    """A key file without keys is never replaced by a fresh one: that would lose every credential."""
    path = tmp_path / "keys"
    path.write_text(content)
    path.chmod(0o600)

    with pytest.raises(SealError):
        Sealer.open(path)
    assert path.read_text() == content


@given(position=st.integers(0, 200), value=st.integers(0, 255))
def test_no_altered_byte_passes(tmp_path_factory: pytest.TempPathFactory, position: int, value: int) -> None:
    """Any changed byte of a sealed value makes it refuse to open."""
    sealer = Sealer.open(tmp_path_factory.getbasetemp() / "sealer-keys")
    sealed = bytearray(sealer.seal(Secret("correct horse"), "camera-1", "password"))
    position %= len(sealed)
    if sealed[position] == value:
        return
    sealed[position] = value

    with pytest.raises(SealError):
        sealer.unseal(bytes(sealed), "camera-1", "password")


@given(data=st.binary(max_size=100))
def test_noise_is_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Bytes that were never sealed are refused as such."""
    with pytest.raises(SealError):
        Sealer.open(tmp_path_factory.getbasetemp() / "sealer-keys").unseal(data, "camera-1", "password")
