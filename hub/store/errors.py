"""What services refuse, as one exception with a stable code.

::

    ServiceError            code as in docs/design/http-api.md: not_found, invalid_input, changed_meanwhile, ...
    └── Invalid             invalid_input (or a narrower code): names the field
    StoreError              the database cannot be opened or is not ours
    └── SealError           a sealed value cannot be opened: wrong key file, or it was altered or moved
"""

from collections.abc import Mapping
from typing import Any


class ServiceError(Exception):
    """A request that cannot be served. `code` is stable, `params` fill its sentence, nothing was changed."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        field: str = "",
        params: Mapping[str, Any] | None = None,
        current: Any = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.field = field
        self.params = dict(params or {})
        self.current = current  # the present value, along with changed_meanwhile


class Invalid(ServiceError):
    """One field does not fit; `field` is its dotted path, `detail` one sentence with what to write instead."""

    def __init__(
        self, field: str, detail: str, *, code: str = "invalid_input", params: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(code, detail, field=field, params=params)


class StoreError(Exception):
    """The database cannot be used; the message says which one, what was seen and what to do."""


class SealError(StoreError):
    """A sealed value cannot be opened."""
