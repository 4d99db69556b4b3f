"""Opens a video, and finds the one track of it that is looked at; all else is refused. Runs in the child alone."""

from __future__ import annotations

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from moderator.jobs.video_file import RangeFile
from moderator.jobs.video_sampling import DECODERS

_COVER = int(av.stream.Disposition.attached_pic)


class Refused(Exception):
    """The video cannot be judged: of a kind that is not read (unknown), too large (too much), or damaged (broken)."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


def open_video(file: RangeFile, container: str) -> InputContainer:
    """Open a file as what its first bytes say: none of FFmpeg's three hundred other formats is tried.

    Playlists and references to other files would have FFmpeg open what they name: they are among the formats that are
    not tried, and no protocol is allowed.
    """
    options = {
        "protocol_whitelist": "none",
        "codec_whitelist": ",".join(DECODERS),
        "enable_drefs": "0",
        "probesize": "2000000",
        "analyzeduration": "2000000",
    }
    try:
        return av.open(file, "r", format=container, container_options=options, buffer_size=1 << 16)
    except (av.FFmpegError, ValueError) as error:
        raise Refused("broken", "it cannot be opened: it is truncated or damaged, or no video") from error


def stream_of(container: InputContainer) -> VideoStream:
    """Return the first track that is a video and no cover picture; all others are not read."""
    videos = [stream for stream in container.streams.video if not int(stream.disposition) & _COVER]
    if not videos:
        raise Refused("unknown", "it has no track with a moving picture")
    for stream in container.streams:
        if stream is not videos[0]:
            stream.discard = av.stream.Discard.all
    name = videos[0].codec_context.name if videos[0].codec_context else "unknown"
    if name not in DECODERS:
        raise Refused("unknown", f"its codec is {name}: those read are {', '.join(DECODERS)}")
    return videos[0]
