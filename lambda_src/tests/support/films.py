"""Videos that say what is in them when, made with ffmpeg: a green star, and a red circle in its stead for a while."""

from __future__ import annotations

import math
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from PIL import Image, ImageDraw

Size = tuple[int, int]
Scene = Callable[[float, Size], Image.Image]

GREY, GREEN, RED = (196, 196, 204), (30, 150, 60), (214, 36, 36)
SIZE: Size = (320, 180)
RATE = 10  # frames a second
SECONDS = 60
CIRCLE = (12.0, 15.0)  # from, to (not including)


def scene(second: float, size: Size = SIZE, circle: tuple[float, float] = CIRCLE) -> Image.Image:
    """What is seen at a moment: the shape wanders, so that no two frames are the same."""
    image = Image.new("RGB", (size[0] * 2, size[1] * 2), GREY)
    radius = size[1] * 0.62
    x = size[0] * (1 + 0.3 * math.sin(second / 5))
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


def draw(path: Path, draw: Scene = scene, *, seconds: float = SECONDS, size: Size = SIZE, rate: float = RATE) -> Path:
    """Draw a film, losslessly, to be encoded anew by others."""
    given = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}", "-r", str(rate), "-i", "-")
    coded = ("-c:v", "libx264", "-preset", "ultrafast", "-qp", "0", "-pix_fmt", "yuv420p", "-g", "1")
    ffmpeg(
        *given, *coded, path, pixels=(draw(number / rate, size).tobytes() for number in range(round(seconds * rate)))
    )
    return path


def ffmpeg(*arguments: str | Path, pixels: Iterable[bytes] = ()) -> None:
    """Run Debian's ffmpeg.

    Raises:
        AssertionError: it is not there, or refuses.
    """
    program = shutil.which("ffmpeg")
    assert program, "ffmpeg is needed: make test installs it"
    command = [program, "-hide_banner", "-loglevel", "error", "-y", *map(str, arguments)]
    with tempfile.TemporaryFile() as said:
        with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=said) as process:
            assert process.stdin
            for frame in pixels:
                process.stdin.write(frame)
        said.seek(0)
        assert process.returncode == 0, said.read().decode("utf-8", "replace")


H264 = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p")
ONE_KEY_FRAME = ("-x264-params", "keyint=infinite:scenecut=0")

# Of each file, ffmpeg's options.
FILMS: dict[str, tuple[str, ...]] = {
    "h264.mp4": H264,
    "h264-index-first.mp4": (*H264, "-movflags", "+faststart"),
    "h264-fragments.mp4": (*H264, "-g", "20", "-movflags", "+frag_keyframe+empty_moov+default_base_moof"),
    "h264-with-sound.mov": (*H264, "-f", "mov", "-c:a", "aac"),
    "hevc.mp4": ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none", "-tag:v", "hvc1"),
    "mpeg4.mov": ("-c:v", "mpeg4", "-q:v", "4"),
    "vp8.webm": ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-r", "5"),
    "vp9.webm": ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"),
    "av1.mkv": ("-c:v", "libsvtav1", "-preset", "12", "-g", "20"),
    "av1.mp4": ("-c:v", "libsvtav1", "-preset", "12", "-g", "20"),
    # As browsers record it: neither a duration nor an index.
    "recorded.webm": (
        "-c:v",
        "libvpx-vp9",
        "-deadline",
        "realtime",
        "-cpu-used",
        "8",
        "-g",
        "20",
        "-f",
        "webm",
        "-live",
        "1",
    ),
    "variable-rate.mp4": (*H264, "-vf", "select=not(mod(n\\,7))+lt(mod(t\\,4)\\,1)", "-vsync", "vfr"),
    "rotated.mp4": (*H264, "-metadata:s:v", "rotate=90"),
    "stretched.mp4": (*H264, "-vf", "scale=160:180,setsar=2"),
    "10-bit.mp4": ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p10le"),
    "few-key-frames.mp4": (*H264, "-x264-params", "keyint=250:scenecut=0"),
    "one-key-frame.mp4": (*H264, *ONE_KEY_FRAME),
    "intra-refresh.mp4": (*H264, "-x264-params", "intra-refresh=1:keyint=40:scenecut=0"),
}
SOUND = ("-f", "lavfi", "-i", "sine=frequency=440:duration=60")


def encode(source: Path, path: Path) -> Path:
    """Encode a drawn film as the file's name says."""
    options = FILMS[path.name]
    if "-live" in options:
        # To a pipe, so that nothing can be added when the end is known.
        program = shutil.which("ffmpeg") or "ffmpeg"
        with path.open("wb") as file:
            subprocess.run([program, "-loglevel", "error", "-i", source, *options, "-"], stdout=file, check=True)
        return path
    ffmpeg("-i", source, *(SOUND if "-c:a" in options else ()), *options, path)
    return path
