"""Names the code that answers: other code may answer otherwise, under the same policy and model."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
SERVICE = _ROOT / "lambda_src" / "moderator"
TOOLS = _ROOT / "tools"

# What decodes pictures and videos, and computes with them.
_LIBRARIES = ("av", "numpy", "onnxruntime", "pillow")


def installed(library: str) -> str:
    """Return a library's version; PyAV, for one, need not be there."""
    try:
        return version(library)
    except PackageNotFoundError:
        return "none"


def code_version(*sources: Path, version_of: Callable[[str], str] = installed) -> str:
    """Return 8 hexadecimal digits of a hash of files, those below folders, and the libraries' versions.

    A number that somebody must remember to raise would be forgotten one day, and old answers would pass for new ones.
    """
    digest = hashlib.sha256()
    for path in sorted(path for source in sources for path in _files(source)):
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\n".encode() + content)
    for library in _LIBRARIES:
        digest.update(f"{library} {version_of(library)}\n".encode())
    return digest.hexdigest()[:8]


def _files(source: Path) -> Iterable[Path]:
    return source.rglob("*.py") if source.is_dir() else (source,)
