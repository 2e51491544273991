"""Why a view is refused, as the HTTP edge and the user interface need it."""


class RelayRefused(Exception):
    """A view cannot be given.

    `status` is the HTTP status of the WHEP answer, `code` is stable, `detail` one English sentence that names what
    was seen and the next step, `retry_after_s` goes into ``Retry-After`` where it is not 0.
    """

    def __init__(self, status: int, code: str, detail: str, *, retry_after_s: float = 0.0) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.retry_after_s = retry_after_s
