"""Is a credential one that a maker ships? Answered offline; nothing is ever sent to a camera (rule SEC-03).

The list holds PBKDF2-HMAC-SHA256 hashes of ``user NUL password`` under one salt, so that the program carries no
readable list of passwords. User names count without regard to case. To add a pair, append the line that `hashed`
returns to ``standards/data/factory_defaults.txt``.
"""

import hashlib
from functools import lru_cache

from standards.packaged import packaged_texts

_SALT = b"camhub factory defaults, list 1"
_ROUNDS = 20_000  # about 10 ms: once per check, and too slow for turning the list back into words at leisure
_LONGEST = 1024  # characters of a name or password that are looked at


def hashed(user: str, password: str) -> str:
    """Return the entry (hex) of a pair."""
    told = f"{user[:_LONGEST].casefold()}\0{password[:_LONGEST]}".encode()
    return hashlib.pbkdf2_hmac("sha256", told, _SALT, _ROUNDS, dklen=16).hex()


@lru_cache(maxsize=1)
def _entries() -> frozenset[str]:
    text = packaged_texts("data", ".txt")["factory_defaults.txt"]
    return frozenset(line for line in text.splitlines() if line and not line.startswith("#"))


def is_factory_default(user: str, password: str) -> bool:
    """Tell whether a pair is on the list of factory defaults."""
    return hashed(user, password) in _entries()
