"""A decoded frame as it is meant to be seen, cut into the parts that the image tower takes. Runs in the child alone."""

from __future__ import annotations

import math
import struct

import av
from av.sidedata.sidedata import Type
from av.video.reformatter import Colorspace, Interpolation
from PIL import Image

from moderator.pictures.preprocessing import Pixels, Preprocessing
from moderator.pictures.strips import Upright
from moderator.pictures.views import Coverage, View, cut

# Frames of no more pixels (1920 x 1088) are scaled as pictures are. Larger ones are halved by the decoder first, as far
# as this many times the model's input: so are large JPEGs.
_LARGE, _MARGIN = 1 << 21, 1.5

# Where a file does not say it: https://trac.ffmpeg.org/wiki/colorspace
_HIGH_DEFINITION = 720  # lines
_UNSPECIFIED = 2

# The least and the most that a pixel is wider than high, as far as it is believed.
_NARROWEST, _WIDEST = 0.25, 4.0

# The display matrix of ISO/IEC 14496-12, 6.2.2: signs of a, b, c, d, of those that keep a picture upright.
_TURNS = {
    (1, 0, 0, 1): None,
    (-1, 0, 0, 1): Image.Transpose.FLIP_LEFT_RIGHT,
    (-1, 0, 0, -1): Image.Transpose.ROTATE_180,
    (1, 0, 0, -1): Image.Transpose.FLIP_TOP_BOTTOM,
    (0, 1, 1, 0): Image.Transpose.TRANSPOSE,
    (0, 1, -1, 0): Image.Transpose.ROTATE_270,
    (0, -1, -1, 0): Image.Transpose.TRANSVERSE,
    (0, -1, 1, 0): Image.Transpose.ROTATE_90,
}


def parts_of(
    frame: av.VideoFrame, pixel_aspect: float, to: Preprocessing, view: View
) -> tuple[tuple[Pixels, ...], Coverage]:
    """Cut a frame as `/moderate` cuts a picture."""
    image = _upright(frame, pixel_aspect, to)
    return cut(Upright(image), to, view)


def _upright(frame: av.VideoFrame, pixel_aspect: float, to: Preprocessing) -> Image.Image:
    width, height = frame.width, frame.height
    if _NARROWEST <= pixel_aspect <= _WIDEST:
        width = max(1, round(width * pixel_aspect))
    if width * height > _LARGE:
        needed = _MARGIN * max(to.width, to.height)
        halvings = max(0, math.floor(math.log2(min(width, height) / needed)))
        width, height = max(1, width >> halvings), max(1, height >> halvings)
    colours = Colorspace.ITU709 if frame.height >= _HIGH_DEFINITION else Colorspace.ITU601
    rgb = frame.reformat(
        width=width,
        height=height,
        format="rgb24",
        src_colorspace=colours if frame.colorspace == _UNSPECIFIED else None,
        # Averages where it scales down, as Pillow does; bilinear would leave pixels out.
        interpolation=Interpolation.AREA if width < frame.width else Interpolation.BICUBIC,
        threads=1,
    )
    image = Image.fromarray(rgb.to_ndarray())
    turn = _turn(frame)
    return image if turn is None else image.transpose(turn)


def _turn(frame: av.VideoFrame) -> Image.Transpose | None:
    """How a camera was held; a turn that is no quarter counts as none, as in most players."""
    matrix = frame.side_data.get(Type.DISPLAYMATRIX)  # type: ignore[call-overload]  # its types know names only
    if matrix is None:
        return None
    a, b, _, c, d = struct.unpack_from("=5i", bytes(matrix))
    return _TURNS.get((_sign(a), _sign(b), _sign(c), _sign(d)))


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)
