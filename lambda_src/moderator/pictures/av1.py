"""Finds how large the frames inside an AVIF really are: libavif decodes them whole, whatever the file says around them.

The sequence header of every item and of every frame of a track is read, and each frame's own header as far as the flag
that lets it have another size. AV1 specification, 5.3 to 5.9.
https://aomediacodec.github.io/av1-spec/
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from moderator.pictures.avif_boxes import all_boxes, items, keys, samples

_SEQUENCE, _FRAME_HEADER, _FRAME = 1, 3, 6
_CHOOSE = 2  # the sequence leaves it to each frame
_KEY, _SWITCH = 0, 3
_ITEM, _FIRST_SAMPLE, _LATER_SAMPLE = "item", "first sample", "later sample"


@dataclass(frozen=True, kw_only=True)
class Frames:
    """What the streams of a file say of their frames."""

    width: int = 0  # of the widest
    height: int = 0  # of the highest
    # Of all that is decoded to show the first picture, be it never shown itself: in every item (a grid's tiles, the
    # transparency beside the colours) or in the tracks' first samples, whichever are more.
    pixels: int = 0
    may_grow: bool = False  # a frame has a size of its own


def frames_within(data: bytes, most_parts: int) -> Frames | None:
    """Return the sizes that the file's streams have; None where its parts are more than `most_parts`."""
    width = height = parts = 0
    pixels: Counter[str] = Counter()
    grows = False
    sequence = None  # goes on from one frame of a track to the next
    for start, end, source in _streams(data, most_parts):
        for kind, content in _units(data, start, min(end, len(data))):
            parts += 1
            if parts > most_parts:
                return None
            try:
                if kind == _SEQUENCE:
                    sequence = _Sequence(_Bits(content))
                    width, height = max(width, sequence.width), max(height, sequence.height)
                elif kind in (_FRAME, _FRAME_HEADER) and sequence is not None:
                    pixels[source] += sequence.width * sequence.height
                    grows = grows or sequence.has_own_size(_Bits(content))
            except EOFError:
                continue  # cut off: for the decoder to refuse
    at_first = max(pixels[_ITEM], pixels[_FIRST_SAMPLE])
    return Frames(width=width, height=height, pixels=at_first, may_grow=grows)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What a file says of a moment of its tracks: the colours', and the transparency's."""

    size: int = 0  # in bytes, of all tracks
    frames: int = 0  # that are decoded for it, of all tracks; some are never shown
    is_key: bool = True  # decoding can begin here


def samples_within(data: bytes, most: int) -> list[Sample]:
    """Return the samples of the file's tracks, of the first `most` at the most; none of what cannot be understood."""
    together: list[Sample] = []
    for box in all_boxes(data, 0, len(data)):
        if box.kind != b"stbl":
            continue
        try:
            starts = keys(data, box)
            for number, (start, end) in enumerate(samples(data, box, most)):
                kinds = [kind for kind, _ in _units(data, start, min(end, len(data)))]
                if number == len(together):
                    together.append(Sample())
                so_far = together[number]
                together[number] = Sample(
                    size=so_far.size + end - start,
                    frames=so_far.frames + sum(kind in (_FRAME, _FRAME_HEADER) for kind in kinds),
                    is_key=so_far.is_key and (starts is None or number + 1 in starts),
                )
        except (struct.error, IndexError):
            continue  # cut off: for the decoder to refuse
    return together


class _Bits:
    """Reads a few bytes bit by bit."""

    def __init__(self, content: bytes) -> None:
        self._value = int.from_bytes(content, "big")
        self._left = 8 * len(content)

    def __call__(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise EOFError
        return (self._value >> self._left) & ((1 << count) - 1)

    def unary(self) -> None:
        """Step over a number of the form uvlc()."""
        zeros = 0
        while not self(1):
            zeros += 1
        self(min(zeros, 32))


class _Sequence:
    """A sequence header (5.5), and what of it a frame's header depends on."""

    def __init__(self, bits: _Bits) -> None:
        bits(4)  # profile, and whether it is a still picture
        self.is_reduced = bool(bits(1))
        self._tick_bits = 0
        if self.is_reduced:
            bits(5)
        else:
            self._operating_points(bits)
        width_bits, height_bits = bits(4) + 1, bits(4) + 1
        self.width, self.height = bits(width_bits) + 1, bits(height_bits) + 1
        self._id_bits = 0
        if not self.is_reduced and bits(1):
            delta = bits(4) + 2
            self._id_bits = delta + bits(3) + 1
        bits(3)
        self._screen = self._integer = _CHOOSE
        if not self.is_reduced:
            bits(4)
            if bits(1):  # order hints
                bits(2)
            self._screen = _CHOOSE if bits(1) else bits(1)
            if self._screen:
                self._integer = _CHOOSE if bits(1) else bits(1)

    def _operating_points(self, bits: _Bits) -> None:
        delay_bits = 0
        if bits(1):  # timing
            bits(64)
            is_even = bits(1)
            if is_even:
                bits.unary()
            if bits(1):  # a decoder's model
                delay_bits = bits(5) + 1
                bits(37)
                presentation = bits(5) + 1
                self._tick_bits = 0 if is_even else presentation
        has_display_delay = bits(1)
        for _ in range(bits(5) + 1):
            bits(12)
            if bits(5) > 7:
                bits(1)
            if delay_bits and bits(1):
                bits(2 * delay_bits + 1)
            if has_display_delay and bits(1):
                bits(4)

    def has_own_size(self, bits: _Bits) -> bool:
        """Return whether a frame of this sequence has a size of its own (5.9.2)."""
        if self.is_reduced or bits(1):  # or shows one that is there already
            return False
        kind, is_shown = bits(2), bits(1)
        if is_shown:
            bits(self._tick_bits)
        else:
            bits(1)
        if kind == _SWITCH:
            return True
        if not (kind == _KEY and is_shown):
            bits(1)
        bits(1)
        screen = bits(1) if self._screen == _CHOOSE else self._screen
        if screen and self._integer == _CHOOSE:
            bits(1)
        bits(self._id_bits)
        return bool(bits(1))


def _units(data: bytes, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """The kind and the first bytes of each unit (OBU, 5.3) of a stream."""
    place = start
    while place < end:
        head = data[place]
        place += 2 if head & 4 else 1
        size = end - place
        if head & 2:
            size = shift = 0
            for byte in data[place : min(place + 8, end)]:
                place += 1
                size |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    break
        yield head >> 3 & 15, data[place : min(place + size, end, place + 64)]
        place += size


def _streams(data: bytes, most: int) -> Iterator[tuple[int, int, str]]:
    """Where each item's data, and each sample of a track, begins and ends, and which of them it is."""
    for box in all_boxes(data, 0, len(data)):
        try:
            if box.kind == b"iloc":
                yield from ((start, end, _ITEM) for start, end in items(data, box, most))
            elif box.kind == b"stbl":
                for number, (start, end) in enumerate(samples(data, box, most)):
                    yield start, end, _LATER_SAMPLE if number else _FIRST_SAMPLE
        except (struct.error, IndexError):
            continue  # cut off: for the decoder to refuse
