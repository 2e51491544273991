"""The built user interface, served from the package: ``index.html`` never cached, hashed assets for a year."""

import asyncio
import html
from importlib.resources import files
from pathlib import Path
from typing import Any

from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from hub.api.language import language_of
from hub.problems import STATUS, Problem
from hub.texts import Texts

TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
    ".txt": "text/plain",
    ".map": "application/json",
}
RESERVED = ("api", "schema", "metrics", "healthz", "readyz", "docs")

_PAGE = """<!doctype html><html lang="{lang}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>body{{font:16px/1.6 system-ui,sans-serif;margin:3rem auto;max-width:44rem;padding:0 1rem;color:#18212b;background:#f6f7f9}}
code{{background:#edf0f3;padding:.1em .3em;border-radius:4px}}h2{{margin:2rem 0 .25rem;font-size:1.05rem}}p{{margin:.25rem 0}}small{{color:#596674}}</style>
</head><body>{body}</body></html>"""

_NOT_BUILT = {
    "vi": (
        "camhub đang chạy",
        (
            "<h1>camhub đang chạy</h1><p>Giao diện chưa được dựng trong bản này. Chạy <code>make env</code> trong thư mục mã nguồn, "
            "rồi tải lại trang.</p><p>Giao diện lập trình vẫn dùng được: <a href='/schema'>/schema</a>.</p>"
        ),
    ),
    "en": (
        "camhub is running",
        (
            "<h1>camhub is running</h1><p>The user interface was not built in this copy. Run <code>make env</code> in the "
            "source directory, then reload this page.</p><p>The HTTP API works: <a href='/schema'>/schema</a>.</p>"
        ),
    ),
}


def installed_ui() -> Path:
    """Return the directory of the built interface (it may not exist)."""
    return Path(str(files("hub"))) / "web" / "dist"


class Ui:
    """The files of the built interface."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    @property
    def built(self) -> bool:
        """Tell whether there is an interface to serve."""
        return (self._root / "index.html").is_file()

    async def serve(self, path: str, language: str) -> Response[bytes]:
        """Return a file, the application for one of its own addresses, or the page that says it was not built.

        Raises:
            NotFoundException: a file that does not exist (an address with an extension, or under ``assets``).
        """
        if not self.built:
            title, body = _NOT_BUILT[language]
            return _page(title, body, language, status=200 if not path.strip("/") else 404)
        relative = path.lstrip("/") or "index.html"
        found = await asyncio.to_thread(self._read, relative)
        if found is None:
            if relative.startswith("assets/") or Path(relative).suffix in TYPES:
                raise NotFoundException
            relative = "index.html"  # an address of the application itself: it routes in the browser
            found = await asyncio.to_thread(self._read, relative)
        if found is None:
            raise NotFoundException
        hashed = relative.startswith("assets/")
        headers = {"cache-control": "public, max-age=31536000, immutable" if hashed else "no-cache"}
        if relative.startswith("player/"):
            # a module script is fetched with CORS (HTML standard 8.1.4.2); what it may ask of the API is decided there
            headers |= {"access-control-allow-origin": "*", "cross-origin-resource-policy": "cross-origin"}
        return Response(
            found,
            media_type=TYPES.get(Path(relative).suffix, "application/octet-stream"),
            headers=headers,
        )

    def _read(self, relative: str) -> bytes | None:
        file = (self._root / relative).resolve()
        if not file.is_relative_to(self._root) or not file.is_file():
            return None
        return file.read_bytes()


def _page(title: str, body: str, language: str, status: int = 200) -> Response[bytes]:
    return Response(
        _PAGE.format(lang=language, title=html.escape(title), body=body).encode(),
        media_type="text/html",
        status_code=status,
        headers={"cache-control": "no-cache"},
    )


def problems_page(texts: Texts, language: str) -> Response[bytes]:
    """Return the page that documents every problem code; `type` of a problem points at its heading."""
    title = "Mã lỗi" if language == "vi" else "Problem codes"
    parts = [f"<h1>{title}</h1>"]
    for code, status in STATUS.items():
        said = {
            part: html.escape(texts.template(f"problem.{code}.{part}", language))
            for part in ("title", "detail", "hint")
        }
        parts.append(
            f'<h2 id="{code}">{said["title"]}</h2><p><small><code>{code}</code> · HTTP {status}</small></p>'
            f"<p>{said['detail']}</p><p>{said['hint']}</p>"
        )
    return _page(title, "".join(parts), language)


@get("/", include_in_schema=False, name="ui")
async def ui_start(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Serve the first page."""
    ui: Ui = request.app.state.ui
    return await ui.serve("", language_of(request))


@get("/{path:path}", include_in_schema=False, name="ui-files")
async def ui_handler(request: Request[Any, Any, Any], path: FromPath[str]) -> Response[bytes]:
    """Serve the user interface for everything that is not an API address."""
    if path.strip("/").split("/", 1)[0] in RESERVED:
        raise Problem("not_found", {"what": {"vi": "địa chỉ", "en": "address"}})
    ui: Ui = request.app.state.ui
    return await ui.serve(path, language_of(request))
