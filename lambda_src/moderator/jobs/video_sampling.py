"""Chooses moments of a video, evenly spread over its time, and decodes what is shown then. Runs in the child alone.

Key frames are decoded wherever there is one for a moment of its own: they cost a request and a frame each. Only where
key frames are further apart than the moments are the frames between them decoded, as far as the limits go.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from moderator.jobs.video_pipe import Limits

# The decoders that may be reached: what cameras, browsers and editors write into these containers.
DECODERS = ("h264", "hevc", "vp8", "vp9", "libdav1d", "mpeg4", "mjpeg", "prores")

_EARLY = 1.0  # second: more than any codec reorders

# After a jump, the most packets that are passed over until there is a key frame.
_MOST_SKIPPED = 1000

# What FFmpeg's errors are in Python.
_DAMAGE = (OSError, ValueError, IndexError)


@dataclass(frozen=True, kw_only=True)
class Clock:
    """When the video's moments are."""

    start: float  # the second at which the stream says that it begins
    duration: float  # seconds
    rate: float  # frames a second, on average


@dataclass(frozen=True, kw_only=True)
class _Key:
    packet: av.Packet[VideoStream]
    second: float


# Seconds that are divided fall short of a whole number by a bit, which must not cost a frame.
_ROUNDING = 1e-9

Show = Callable[[int, av.VideoFrame, float], None]  # which moment, what is shown, and its second


def moments(duration: float, rate: float, *, most: int, every: float) -> list[float]:
    """Return seconds evenly spread from the first frame to the last one, `every` seconds apart at the least."""
    last = max(0.0, duration - 1 / rate)
    steps = most - 1 if every <= 0 else int(min(most - 1, last / every * (1 + _ROUNDING)))
    # A short clip has not more frames than it has.
    steps = min(steps, int(last * rate * (1 + _ROUNDING)))
    return [last * step / steps for step in range(steps + 1)] if steps else [0.0]


def clock_of(container: InputContainer, stream: VideoStream) -> Clock:
    """Read how long a video is; where the file does not say it, walk through its packets, which decodes nothing."""
    base = float(stream.time_base or 0) or 1e-3
    start = (stream.start_time or 0) * base
    rate = float(stream.average_rate or stream.guessed_rate or 0)
    rate = rate if 0.01 <= rate <= 1000 else 25.0
    duration = 0.0
    if stream.duration:
        duration = stream.duration * base
    elif container.duration:
        duration = container.duration / av.time_base
    if stream.index_entries and stream.frames:
        # All of its frames are listed: what the header says of the length may be wrong, and the list cannot be.
        # (Its times are those of decoding, which may be a few frames early.)
        last = stream.index_entries[-1]
        listed = max(last.timestamp * base - start, 0.0) + 1 / rate
        duration = duration if 0 < duration < listed + _EARLY else listed
    if duration <= 0:
        duration = max((second for second in _walk(container, base)), default=start) - start + 1 / rate
    return Clock(start=start, duration=duration, rate=rate)


def _walk(container: InputContainer, base: float) -> Iterator[float]:
    try:
        for packet in container.demux(video=0):
            if packet.pts is not None:
                yield packet.pts * base
    except (OSError, ValueError):
        return  # as far as it goes


class Sampler:
    """Finds what is shown at each of a video's moments."""

    def __init__(self, container: InputContainer, stream: VideoStream, clock: Clock, limits: Limits) -> None:
        self._container = container
        self._stream = stream
        self._context = stream.codec_context
        self._clock = clock
        self._base = float(stream.time_base or 0) or 1e-3
        self._frames_left = limits.frames_between
        self._pixels_left = limits.pixels_between
        self.limited = False  # whether they did not suffice

    def sample(self, asked: Sequence[float], show: Show) -> None:
        """Show a frame for each moment, as far as that can be done."""
        # 1. The last key frame before each moment, if no earlier moment has shown it.
        between: dict[float, list[int]] = {}  # by the sound key frame to begin at: the moments still to be shown
        sound = shown_before = -1.0
        for number, second in enumerate(asked):
            frame = key = None
            try:
                key = self._key_before(second)
                is_new = key is not None and key.second > shown_before
                frame = self._decode_alone(key) if key and is_new else None
            except _DAMAGE:  # the next moment may be sound
                key = None
            shown_before = second + 0.5 / self._clock.rate
            if key is not None and frame is not None:
                sound = key.second
                show(number, frame, key.second)
            elif key is not None:
                between.setdefault(sound, []).append(number)

        # 2. What lies between key frames. Should the limits not suffice for all of it, then what is seen is spread
        # over the whole time.
        for begin in _spread(sorted(between)):
            with contextlib.suppress(*_DAMAGE):  # as above
                if self.limited:
                    return
                self._decode_on(begin, [(number, asked[number]) for number in between[begin]], show)

    def _key_before(self, second: float) -> _Key | None:
        self._seek(second)
        for packet in itertools.islice(self._container.demux(self._stream), _MOST_SKIPPED):
            if packet.size == 0:
                return None  # the end
            if packet.is_keyframe and not packet.is_corrupt:
                time = packet.pts if packet.pts is not None else packet.dts
                return None if time is None else _Key(packet=packet, second=self._second(time))
        return None

    def _decode_alone(self, key: _Key) -> av.VideoFrame | None:
        # A file may call a frame a key frame that is none. NONKEY is not used: what it leaves out differs between
        # decoders. libdav1d can be told once only, and trusts the stream, not the file.
        if self._context.name != "libdav1d":
            self._context.skip_frame = "NONINTRA"
        try:
            frames = [*self._context.decode(key.packet), *self._context.decode(None)]
        finally:
            self._context.flush_buffers()
        return next((frame for frame in frames if not frame.is_corrupt), None)

    def _decode_on(self, begin: float, wanted: Sequence[tuple[int, float]], show: Show) -> None:
        """Decode from the key frame at second `begin` up to the last of the wanted moments."""
        if self._context.name != "libdav1d":
            self._context.skip_frame = "DEFAULT"
        left = list(wanted)
        self._seek(begin)
        half = 0.5 / self._clock.rate
        last: tuple[av.VideoFrame, float] | None = None
        for frame in self._decoded():
            second = self._second(frame.pts) if frame.pts is not None else None
            if second is None or frame.is_corrupt:
                continue
            # A frame is shown until the next one begins: with a variable frame rate, perhaps for long.
            while left and second > left[0][1] + half and last is not None:
                show(left.pop(0)[0], *last)
            if not left:
                return
            last = (frame, second)
        if last is not None and not self.limited:
            for number, _ in left:
                show(number, *last)  # the last frame is shown to the end

    def _decoded(self) -> Iterator[av.VideoFrame]:
        try:
            for packet in self._container.demux(self._stream):
                for frame in self._context.decode(packet if packet.size else None):
                    self._frames_left -= 1
                    self._pixels_left -= frame.width * frame.height
                    if self._frames_left < 0 or self._pixels_left < 0:
                        self.limited = True
                        return
                    yield frame
                if not packet.size:
                    return
        finally:
            self._context.flush_buffers()

    def _seek(self, second: float) -> None:
        time = round((max(0.0, second) + self._clock.start) / self._base)
        self._container.seek(time, stream=self._stream, backward=True)

    def _second(self, time: int) -> float:
        return max(0.0, time * self._base - self._clock.start)


def _spread(seconds: Sequence[float]) -> list[float]:
    """Order them so that the first ones, however many, are spread over all: 0, 4, 2, 6, 1, 5, 3, 7 of eight."""
    bits = max(1, (len(seconds) - 1).bit_length())
    order = sorted(range(len(seconds)), key=lambda place: int(f"{place:0{bits}b}"[::-1], 2))
    return [seconds[place] for place in order]
