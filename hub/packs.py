"""Own rule packs: TOML files that a province keeps beside the shipped ones, read once, whole or not at all."""

from collections.abc import Iterable
from pathlib import Path

LARGEST = 1 << 20  # bytes of one file; the largest shipped one has 40 kB
MOST = 200  # files


class PackUnreadable(Exception):
    """A file of a pack that cannot be read: names it and says why."""


def read_packs(paths: Iterable[Path]) -> dict[str, str]:
    """Return the texts of pack files by name; a folder stands for the ``*.toml`` files in it, sorted.

    Raises:
        PackUnreadable: a path that is not there, a file that is too large or not UTF-8, too many files.
    """
    files: list[Path] = []
    for path in paths:
        files += sorted(path.glob("*.toml")) if path.is_dir() else [path]
    if len(files) > MOST:
        raise PackUnreadable(f"{len(files)} files; at most {MOST} are read")
    texts: dict[str, str] = {}
    for file in files:
        try:
            if file.stat().st_size > LARGEST:
                raise PackUnreadable(f"{file} is larger than {LARGEST} bytes")
            texts[str(file)] = file.read_text("utf-8")
        except OSError as error:
            raise PackUnreadable(f"{file} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise PackUnreadable(f"{file} is not UTF-8 (byte {error.start})") from error
    return texts
