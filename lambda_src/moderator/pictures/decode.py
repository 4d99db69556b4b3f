"""Turns a picture's bytes into the pixels that the image tower takes: opened, judged, decoded, cut."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

from PIL import Image, ImageFile, JpegImagePlugin

from moderator.errors import TooMuch, UnknownPicture
from moderator.pictures.animation import play, reachable
from moderator.pictures.animations import animation_of
from moderator.pictures.cost import check_decoder, check_parts, check_size
from moderator.pictures.frames import FrameSampling
from moderator.pictures.kinds import READABLE, refusal
from moderator.pictures.preprocessing import Pixels, Preprocessing
from moderator.pictures.strips import Upright
from moderator.pictures.timeline import frame_starts
from moderator.pictures.views import Coverage, View, cut, thickness

# Only these decoders are tried: Pillow has some forty more, and a stranger's bytes could reach each of them.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")

# A JPEG decoder's own scaling must leave this many times the model's input, so that the last step is still ours. What
# counts is the shorter side, which is a tile's side too.
_DECODER_MARGIN = 1.5

# A picture that fills less than this share of the model's shorter side is warned of: 28 of 224 pixels.
_THINNEST = 1 / 8

_LARGE = 1 << 21


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One moment of a picture, as the image tower takes it."""

    parts: tuple[Pixels, ...]
    number: int  # from 0
    seconds: float  # from the animation's start


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """What was seen of a picture."""

    frames: tuple[Frame, ...]  # at least one
    total_frames: int
    coverage: Coverage  # the same for each frame
    # Of the last frames, how many were not looked at: damaged, beyond the limits, or, without sampling, all but one.
    unreached: int = 0
    warnings: tuple[str, ...] = ()  # sentences: what was not looked at, or hardly to be made out, and why


def read_picture(
    data: bytes,
    preprocessing: Preprocessing,
    *,
    view: View = "center",
    frames: FrameSampling | None = None,
    max_pixels: int,
    name: str,
) -> Decoded:
    """Decode `data` and bring it to the model's size.

    Args:
        data: an encoded picture.
        preprocessing: the model's input size and how to get there.
        view: which part of it is looked at.
        frames: how an animated picture is sampled; None takes the first frame.
        max_pixels: the most that is decoded, as width times height.
        name: what the picture is called in an error, such as `image_data` or `images[2]`.

    Returns:
        the frames that could be decoded. Where a later one could not, a warning says so.

    Raises:
        UnknownPicture: the bytes are not one of `FORMATS`, or a variant of one that Pillow cannot decode.
        TooMuch: the picture has more than `max_pixels`, or would cost as much.
        BrokenPicture: the picture, or an animation's first frame, is truncated or damaged.
    """
    with _open(data, max_pixels, name) as image:
        return _decoded(image, data, preprocessing, view, frames, name)


def read_unless_large(
    data: bytes,
    preprocessing: Preprocessing,
    *,
    view: View = "center",
    frames: FrameSampling | None = None,
    max_pixels: int,
    name: str,
) -> Decoded | None:
    """Do what `read_picture` does; return None where the picture has more than 2²¹ pixels. 1920 x 1080 has fewer."""
    with _open(data, max_pixels, name) as image:
        if image.width * image.height > _LARGE:
            return None
        return _decoded(image, data, preprocessing, view, frames, name)


def _open(data: bytes, max_pixels: int, name: str) -> ImageFile.ImageFile:
    """Read the header only; no pixel is decoded before the size is known to be allowed."""
    if not data:
        raise UnknownPicture(f"{name} is empty: send the bytes of a {READABLE} picture.")
    check_parts(data, name)
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Exception as error:  # decoders raise many kinds of error for damaged files
        if "MAX_TEXT" in str(error):  # Pillow's own limits on what a PNG's texts may unpack to
            raise TooMuch(f"{name} has metadata that is too large: save the picture without metadata.") from error
        raise refusal(data, name, opened=False) from error
    check_size(image.width, image.height, max_pixels, name)
    check_decoder(image, data, max_pixels, name)
    return image


def _decoded(
    image: ImageFile.ImageFile,
    data: bytes,
    preprocessing: Preprocessing,
    view: View,
    sampling: FrameSampling | None,
    name: str,
) -> Decoded:
    # 1. When is each frame shown? This decodes nothing, and a still picture has one frame.
    starts = frame_starts(image, data, name)

    # 2. The first frame is the picture: whatever is wrong with it is the caller's mistake.
    _scale_while_decoding(image, preprocessing)
    try:
        image.load()
        parts, coverage = cut(Upright(image), preprocessing, view)
    except MemoryError:
        raise
    except Exception as error:  # as above
        raise refusal(data, name, opened=True) from error
    seen = [Frame(parts=parts, number=0, seconds=0.0)]
    warnings = _of_a_strip(image, view, name)
    unreached = len(starts) - 1

    # 3. Later frames are looked at as far as they can be decoded.
    if sampling is not None and len(starts) > 1:
        animation = animation_of(image, data, len(starts))
        within = reachable(animation.changes, starts, image.size, sampling)
        # Frames that would not have been chosen anyway are no loss.
        unreached = len(starts) - within if sampling.chosen(starts)[-1][0] >= within else 0
        if unreached:
            warnings.append(
                f"{name} is animated: only the first {within:,} of its {len(starts):,} frames could be looked at "
                "within the limits of time and memory."
            )
        chosen = sampling.chosen(starts[:within])[1:]
        canvases = play(animation, image, [number for number, _ in chosen])
        for number, seconds in chosen:
            try:
                parts, coverage = cut(Upright(next(canvases), like=image), preprocessing, view)
            except MemoryError:
                raise
            except Exception:  # noqa: BLE001 - as above; the frames before it were sound, and are what was seen
                warnings.append(
                    f"{name} is animated: it is truncated or damaged after frame {seen[-1].number + 1:,} of "
                    f"{len(starts):,}, so that later frames were not looked at."
                )
                unreached = len(starts) - seen[-1].number - 1
                break
            seen.append(Frame(parts=parts, number=number, seconds=seconds))

    return Decoded(
        frames=tuple(seen),
        total_frames=len(starts),
        coverage=coverage,
        unreached=unreached,
        warnings=tuple(warnings),
    )


def _of_a_strip(image: Image.Image, view: View, name: str) -> list[str]:
    if thickness(image.size, view) >= _THINNEST:
        return []
    times = round(max(image.size) / min(image.size))
    return [
        f"{name} is {times:,} times as long as it is wide: brought to the model's size it is so thin that little can "
        "be made out. Send it in several pieces."
    ]


def _scale_while_decoding(image: Image.Image, to: Preprocessing) -> None:
    """Have a far larger JPEG decoded at a half, a quarter or an eighth of its size.

    The decoder then skips the frequencies that scaling down would average away, and with them most of the work: a
    12-megapixel picture is decoded several times faster (`make bench`). An answer changes by less than 0.01 (tested).
    """
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        edge = math.ceil(_DECODER_MARGIN * max(to.width, to.height))
        image.draft(None, (edge, edge))
