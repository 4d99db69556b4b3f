"""The two pages, each a single complete document: the page to try at `/`, and the API to read at `/docs`.

Read from `page/` on first use. Styles and scripts are put into the document, so that a page is one request and not a
dozen, which would start a dozen instances; a Content-Security-Policy allows exactly these, by their hashes, and nothing
from elsewhere. The scripts are modules; joined in the order of their imports they are one.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from moderator.web.http_event import Response

FOLDER = Path(__file__).with_name("page")
_SWAGGER = "aws_lambda_powertools.event_handler.openapi.swagger_ui"

# As modules are written here: an import stands on one line and keeps the names, an export before what it exports.
_IMPORT = re.compile(r'^import \{[^}]*\} from "\./(?P<name>\w+)\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export ", re.MULTILINE)
# What only readers of the files need. No text in the files spans several lines.
_FOR_READERS = re.compile(r"^(?:[ \t]*//.*\n|[ \t]+|\n)|[ \t]+// .*$", re.MULTILINE)
_LINES_THAT_GO_ON = re.compile(r"(?<=[,;{(\[])\n|\n(?=[})\]])")
_SPACE_IN_STYLES = re.compile(r"\s*([{};,])\s*|(?<=:) |;(?=\s*})|/\*.*?\*/\s*")


@cache
def page() -> Response:
    """Return the page where pictures are judged and policies are made."""
    style = _SPACE_IN_STYLES.sub(r"\1", _read("head.css") + _read("page.css"))
    script = joined("main")
    html = _fill(
        "index.html",
        {
            "ICON": _icon(),
            "STYLE": f"<style>{style}</style>",
            "HEAD": _head("page"),
            "SCRIPT": f'<script type="module">{script}</script>',
        },
    )
    return _response(html, scripts=[script], styles=[style], more=_PAGE_POLICY)


def docs(document: Mapping[str, Any]) -> Response:
    """Return Swagger UI over an OpenAPI document."""
    assets = files(_SWAGGER)
    bundle = (assets / "swagger-ui-bundle.min.js").read_text("utf-8")
    styles = [(assets / "swagger-ui.min.css").read_text("utf-8"), _read("head.css") + _read("docs.css")]
    start = _read("docs.js")
    html = _fill(
        "docs.html",
        {
            "HEAD": _head("docs"),
            "ICON": _icon(),
            "STYLE": "".join(f"<style>{style}</style>" for style in styles),
            "DOCUMENT": json.dumps(document).replace("</", "<\\/"),
            "SCRIPT": f"<script>{bundle}</script><script>{start}</script>",
        },
    )
    return _response(html, scripts=[bundle, start], styles=styles, more=_DOCS_POLICY)


def joined(name: str) -> str:
    """Return a module and all that it imports as one: each once, after those that it needs.

    So no two of them may use one name for two things; the browser refuses a script in which that happens.
    """
    scripts: dict[str, str] = {}

    def take(name: str) -> None:
        text = _read(f"{name}.js")
        for needed in _IMPORT.findall(text):
            if needed not in scripts:
                take(needed)
        text = _FOR_READERS.sub("", _EXPORT.sub("", _IMPORT.sub("", text)))
        # No text in the files has an arrow, or a brace beside a space.
        text = _LINES_THAT_GO_ON.sub("", text).replace(" => ", "=>")
        scripts[name] = text.replace("{ ", "{").replace(" }", "}")

    take(name)
    return "".join(scripts.values())


# Pictures and films are the visitor's own; only this service is asked. Nothing turns a text into markup.
_PAGE_POLICY = ("img-src data: blob:", "media-src blob:", "connect-src 'self'", "require-trusted-types-for 'script'")
_DOCS_POLICY = ("img-src data:", "connect-src 'self'")


def _response(html: str, *, scripts: Sequence[str], styles: Sequence[str], more: Sequence[str]) -> Response:
    policy = [
        "default-src 'none'",
        f"script-src {' '.join(map(_hash, scripts))}",
        f"style-src {' '.join(map(_hash, styles))}",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        *more,
    ]
    return Response(
        body=html,
        content_type="text/html; charset=utf-8",
        headers={
            "Cache-Control": "no-cache",
            "Content-Security-Policy": "; ".join(policy),
            "Cross-Origin-Opener-Policy": "same-origin",
            "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        },
    )


def _hash(text: str) -> str:
    # https://www.w3.org/TR/CSP3/#grammardef-hash-source
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _head(here: str) -> str:
    html = _read("head.html").strip().replace(f' data-is="{here}"', ' aria-current="page"')
    return re.sub(r' data-is="\w+"', "", html)


def _icon() -> str:
    return f'<link rel="icon" href="data:image/svg+xml,{quote(_read("icon.svg").strip(), safe=" =:/")}">'


def _fill(name: str, parts: Mapping[str, str]) -> str:
    # In one pass: a part may hold something that looks like the place of another.
    return re.sub(r"<!-- ([A-Z]+) -->", lambda found: parts[found[1]], _FOR_READERS.sub("", _read(name)))


def _read(name: str) -> str:
    return (FOLDER / name).read_text("utf-8")
