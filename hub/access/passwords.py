"""Passwords: Argon2id off the event loop, rules for new ones, and one-time passwords.

Argon2id with 64 MiB, 3 passes, 4 lanes (RFC 9106 section 4, second recommendation; about 60 ms). At most two at a
time, so that a burst of sign-ins costs 128 MiB and no more. Hashes carry their parameters: after these change, a
password is hashed anew at its next use.
"""

import asyncio
import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from adapters.secret import Secret
from hub.store.errors import Invalid

MEMORY_KIB = 65_536
PASSES = 3
LANES = 4
AT_ONCE = 2
SHORTEST = 10
LONGEST = 256
# No letters or digits that are mistaken for each other when read aloud or copied from paper.
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
_COMMON = frozenset(
    {"1234567890", "0123456789", "password123", "password1234", "matkhau123", "qwertyuiop", "administrator"}
)


class Passwords:
    """Hashes and checks passwords."""

    def __init__(self, *, memory_kib: int = MEMORY_KIB, passes: int = PASSES, lanes: int = LANES) -> None:
        self._hasher = PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=lanes)
        self._room = asyncio.Semaphore(AT_ONCE)
        self._nobody = ""

    async def hash(self, password: Secret) -> str:
        """Return the hash of a password."""
        async with self._room:
            return await asyncio.to_thread(self._hasher.hash, password.reveal())

    async def matches(self, hashed: str | None, password: Secret) -> bool:
        """Tell whether a password is the one; None (no such person) takes as long and never is."""
        if len(password.reveal()) > LONGEST:
            password = Secret("")
        if not self._nobody:
            self._nobody = await self.hash(Secret(secrets.token_hex(16)))
        async with self._room:
            right = await asyncio.to_thread(self._verify, hashed or self._nobody, password.reveal())
        return right and hashed is not None

    def outdated(self, hashed: str) -> bool:
        """Tell whether a hash was made with other parameters."""
        return self._hasher.check_needs_rehash(hashed)

    def _verify(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except VerifyMismatchError:
            return False
        except (VerificationError, InvalidHashError) as error:
            raise ValueError(
                "a stored password hash cannot be read; set a new password for this person"
            ) from error


def check_new(password: Secret, name: str, field: str = "new_password") -> None:
    """Refuse a password that is too short, too long, the name itself, or known to everybody.

    Raises:
        Invalid: `password_weak`, with what to do.
    """
    text = password.reveal()
    if not SHORTEST <= len(text) <= LONGEST:
        raise Invalid(
            field,
            f"a password has {SHORTEST} to {LONGEST} characters",
            code="password_weak",
            params={"least": SHORTEST},
        )
    plain = text.casefold()
    beside_name = plain.replace(name.casefold(), "") if name else plain
    if plain in _COMMON or len(set(plain)) < 4 or len(beside_name) < 4:
        raise Invalid(
            field,
            "this password is easily guessed; choose another",
            code="password_weak",
            params={"least": SHORTEST},
        )


def one_time() -> Secret:
    """Return a password to be changed at first use: 16 letters and digits in groups, 79 bits."""
    groups = ("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(4))
    return Secret("-".join(groups))
