"""The picture and video files below a folder, in an order that does not depend on the file system."""

from __future__ import annotations

import errno
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from moderator.errors import TooMuch
from moderator.jobs.video_kind import HEAD_BYTES, is_video

# Files with these names are pictures to whoever named them: one that cannot be read is reported, not skipped.
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"}
    | {".heic", ".heif", ".jxl", ".jp2"}
)
VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".qt", ".webm", ".mkv", ".3gp"})
# Sound in a video's container; a picture with such a name is one all the same.
_SOUND_SUFFIXES = frozenset({".m4a", ".m4b", ".m4p", ".m4r", ".mka", ".mks"})
# Stores that name files by their content give them no suffix, and browsers and backups give them some of their own
# (x.jpg_large, x.jpg.bak): those are known by how they begin.
_BEGINNING = re.compile(
    rb"\xff\xd8\xff|\x89PNG|RIFF.{4}WEBP|GIF8|BM.{12}[\x0c-\x7c]\0\0\0|II[*+]\0|MM\0[*+]|.{4}ftypavi", re.DOTALL
)
# A text may well begin with "GIF8", or with four letters and "free" as a video does. None has such a byte.
_NO_TEXT = re.compile(rb"[\0-\x08\x0e-\x1f]")


@dataclass(frozen=True, kw_only=True)
class PictureFiles:
    """What is below a folder."""

    folder: Path
    paths: tuple[str, ...]  # of the pictures and videos, relative to the folder, with slashes, sorted
    others: int  # files that are neither


def find_pictures(folder: Path, *, videos: bool = False) -> PictureFiles:
    """Find every picture below `folder`, and every video where these are wanted, too: by its name or how it begins.

    Links to folders are not followed, for they can lead in circles. A folder that cannot be listed is among the paths,
    with a slash at its end: reading it fails and says why, and what may be in it is not passed over in silence.

    Raises:
        NotADirectoryError: there is no such folder.
    """
    if not folder.is_dir():
        raise NotADirectoryError(f"There is no folder {folder}.")
    paths: list[str] = []
    others = 0
    suffixes = SUFFIXES | VIDEO_SUFFIXES if videos else SUFFIXES

    def unlisted(error: OSError) -> None:
        paths.append(Path(error.filename).relative_to(folder).as_posix() + "/")

    for parent, _, names in os.walk(folder, onerror=unlisted):
        for name in names:
            path = Path(parent, name)
            if path.suffix.lower() in suffixes or _begins_like_one(path, videos=videos):
                paths.append(path.relative_to(folder).as_posix())
            else:
                others += 1
    return PictureFiles(folder=folder, paths=tuple(sorted(paths)), others=others)


def read_file(path: Path, *, max_bytes: int) -> bytes:
    """Read a picture's bytes.

    Raises:
        TooMuch: more than the service takes.
        OSError: it cannot be read at all, or is no file: a pipe would be waited for, and a device has no end.
    """
    size = check_file(path).st_size
    if size > max_bytes:
        raise TooMuch(f"The file has {size:,} bytes: at most {max_bytes:,} are allowed (MAX_BODY_BYTES).")
    return path.read_bytes()


def check_file(path: Path) -> os.stat_result:
    """Return what is known of a file without opening it.

    Raises:
        OSError: there is none, or it is a pipe, a socket, a device or a folder.
    """
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        os.scandir(path).close()  # raises what kept it from being listed
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "It is not a regular file")
    return status


def printable(path: str) -> str:
    """Return a path that any output can carry, even where its name is not UTF-8."""
    return path.encode("utf-8", "replace").decode()


def _begins_like_one(path: Path, *, videos: bool) -> bool:
    try:
        check_file(path)
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return False  # it cannot be opened, and is not named like a picture
    if not _NO_TEXT.search(head):
        return False
    videos = videos and path.suffix.lower() not in _SOUND_SUFFIXES
    return _BEGINNING.match(head) is not None or (videos and is_video(head))
