"""Videos that say what is in them when, made with ffmpeg: a green star, and a red circle in its stead for a while."""

from __future__ import annotations

import math
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from PIL import Image, ImageDraw

Size = tuple[int, int]
Scene = Callable[[float, Size], Image.Image]

GREY, GREEN, RED = (196, 196, 204), (30, 150, 60), (214, 36, 36)
SIZE: Size = (320, 180)
RATE = 10  # frames a second
SECONDS = 60
CIRCLE = (12.0, 15.0)  # from, to (not including)


def scene(
    second: float, size: Size = SIZE, circle: tuple[float, float] = CIRCLE, wandering: float = 0.3
) -> Image.Image:
    """What is seen at a moment: the shape wanders, so that no two frames are the same."""
    image = Image.new("RGB", (size[0] * 2, size[1] * 2), GREY)
    radius = size[1] * 0.62
    x = size[0] * (1 + wandering * math.sin(second / 5))
    y = float(size[1])
    pencil = ImageDraw.Draw(image)
    if circle[0] <= second < circle[1]:
        pencil.ellipse((x - radius, y - radius, x + radius, y + radius), fill=RED)
    else:
        pencil.polygon([_corner(x, y, radius * (1 if corner % 2 == 0 else 0.4), corner) for corner in range(10)], GREEN)
    return image.resize(size, Image.Resampling.BOX)


def _corner(x: float, y: float, radius: float, number: int) -> tuple[float, float]:
    turn = math.pi * number / 5
    return x + radius * math.sin(turn), y - radius * math.cos(turn)


def draw(path: Path, show: Scene = scene, *, seconds: float = SECONDS, size: Size = SIZE, rate: float = RATE) -> Path:
    """Draw a film, losslessly, to be encoded anew by others."""
    given = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}", "-r", str(rate), "-i", "-")
    coded = ("-c:v", "libx264", "-preset", "ultrafast", "-qp", "0", "-pix_fmt", "yuv420p", "-g", "1")
    pixels = (show(number / rate, size).tobytes() for number in range(round(seconds * rate)))
    ffmpeg(*given, *coded, path, pixels=pixels)
    return path


def ffmpeg(*arguments: str | Path, pixels: Iterable[bytes] = ()) -> bytes:
    """Run Debian's ffmpeg; return what it prints.

    Raises:
        AssertionError: it is not there, or refuses.
    """
    program = shutil.which("ffmpeg")
    assert program, "ffmpeg is needed: make test installs it"
    command = [program, "-hide_banner", "-loglevel", "error", "-y", *map(str, arguments)]
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as complained:
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=said, stderr=complained) as process:
            assert process.stdin
            for frame in pixels:
                process.stdin.write(frame)
        for file in (said, complained):
            file.seek(0)
        assert process.returncode == 0, complained.read().decode("utf-8", "replace")
        return said.read()


H264 = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p")
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8")
AV1 = ("-c:v", "libsvtav1", "-preset", "12", "-g", "20")

# What each file is, and ffmpeg's options for it. All show the same: a red circle from second 12 to 15 of 60.
FILMS: dict[str, tuple[str, tuple[str, ...]]] = {
    "h264.mp4": ("H.264, the index last", H264),
    "h264-index-first.mp4": ("H.264, the index first", (*H264, "-movflags", "+faststart")),
    "h264-fragments.mp4": (
        "H.264 in fragments",
        (*H264, "-g", "20", "-movflags", "+frag_keyframe+empty_moov+default_base_moof"),
    ),
    "h264-with-sound.mov": (
        "H.264 beside 12 MB of sound",
        (*H264, "-g", "20", "-c:a", "pcm_s16le", "-ar", "48000", "-ac", "2"),
    ),
    "hevc.mp4": (
        "HEVC",
        ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none", "-tag:v", "hvc1"),
    ),
    "mpeg4.mov": ("MPEG-4 Part 2", ("-c:v", "mpeg4", "-q:v", "4")),
    "vp8.webm": ("VP8", ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-vf", "scale=160:90")),
    "vp9.webm": ("VP9", VP9),
    "av1.mkv": ("AV1", AV1),
    "av1.mp4": ("AV1", AV1),
    "recorded.webm": (
        "VP9 as a browser records it: no length, no index",
        (*VP9, "-g", "20", "-f", "webm", "-live", "1"),
    ),
    "variable-rate.mp4": (
        "variable frame rate",
        (*H264, "-vf", "select=not(mod(n\\,7))+lt(mod(t\\,4)\\,1)", "-vsync", "vfr"),
    ),
    "rotated.mp4": ("turned by its metadata", (*H264, "-metadata:s:v", "rotate=90")),
    "stretched.mp4": ("pixels twice as wide as high", (*H264, "-vf", "scale=160:180,setsar=2")),
    "10-bit.mp4": ("10 bits a colour", (*H264[:-1], "yuv420p10le")),
    "few-key-frames.mp4": ("a key frame in 25 s", (*H264, "-x264-params", "keyint=250:scenecut=0")),
    "one-key-frame.mp4": ("no key frame but the first", (*H264, "-x264-params", "keyint=infinite:scenecut=0")),
    "intra-refresh.mp4": (
        "no whole key frame but the first",
        (*H264, "-x264-params", "intra-refresh=1:keyint=40:scenecut=0"),
    ),
}

# The long one: 8 hours, in which the red circle is there from 3:00:00 to 3:30:00, and nothing else moves much.
LONG_MINUTES = {"still": 180, "circle": 30, "still again": 270}
LONG_CIRCLE = (3 * 3600.0, 3.5 * 3600.0)


class Studio:
    """Makes films when they are first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def film(self, name: str) -> Path:
        """Return one of `FILMS`."""
        path = self._folder / name
        if path.exists():
            return path
        options = FILMS[name][1]
        if "-live" in options:
            # To a pipe, so that nothing can be added when the end is known.
            path.write_bytes(ffmpeg("-i", self.drawn(), *options, "-"))
        else:
            sound = ("-f", "lavfi", "-i", f"anoisesrc=duration={SECONDS}") if "-c:a" in options else ()
            ffmpeg("-i", self.drawn(), *sound, *options, path)
        return path

    def drawn(self) -> Path:
        """Return the film from which the others are encoded."""
        path = self._folder / "drawn.mkv"
        return path if path.exists() else draw(path)

    def truncated(self) -> Path:
        """Return one that has its index, and half of what the index names."""
        whole = self.film("h264-index-first.mp4").read_bytes()
        path = self._folder / "truncated.mp4"
        index = whole.index(b"mdat")
        path.write_bytes(whole[: index + (len(whole) - index) // 2])
        return path

    def long(self) -> Path:
        """Return the long one."""
        path = self._folder / "8-hours.mp4"
        if path.exists():
            return path
        coding = (*H264, "-g", "20")
        for name, circle in {"still": (0.0, 0.0), "circle": (0.0, 60.0)}.items():
            drawn = draw(self._folder / f"{name}.mkv", partial(scene, circle=circle, wandering=0.0005), rate=2)
            ffmpeg("-i", drawn, *coding, self._folder / f"{name}.mp4")
        minutes = [name.split()[0] for name, count in LONG_MINUTES.items() for _ in range(count)]
        parts = self._folder / "parts.txt"
        parts.write_text("".join(f"file {name}.mp4\n" for name in minutes))
        ffmpeg("-f", "concat", "-i", parts, "-c", "copy", path)
        return path
