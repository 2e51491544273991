"""What people's statements are refused for: a key of sentences (`hub/locale/*/statement.json`), a field, parameters."""

from typing import Any


class StatementRefused(Exception):
    """A statement that may not be; nothing was kept. `code` is that of the problem (`hub.problems`)."""

    def __init__(self, field: str, why: str, *, code: str = "statement_refused", **params: Any) -> None:
        said = ", ".join(f"{name} {value}" for name, value in params.items())
        super().__init__(f"{field}: {why}" + (f" ({said})" if said else ""))
        self.field = field
        self.why = why
        self.code = code
        self.params = params
