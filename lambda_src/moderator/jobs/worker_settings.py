"""The worker's own settings, beside those of the service, read once from the environment into a frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from moderator.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class WorkerSettings:
    """What a worker is told; each field's variable is its name in capitals, after JOBS_.

    `results_bucket` is where lines go. Of the stream: `policy` judges it, `bus` takes its verdicts as events, and `tag`
    and `write_lines` say whether an object gets a tag, and the results a line.
    """

    results_bucket: str
    policy: str = "moderation"
    bus: str = ""
    tag: bool = False
    write_lines: bool = True
    # A picture over this many bytes is refused; a video is read in pieces, at most this many bytes in all.
    max_object_bytes: int = 25_000_000
    max_video_bytes: int = 500_000_000
    # What one object may take at the most, in seconds.
    object_seconds: float = 30.0
    video_seconds: float = 120.0
    readers: int = 8


def read_worker_settings(environment: Mapping[str, str]) -> WorkerSettings:
    """Read the settings from `environment`.

    Raises:
        ConfigurationError: a variable is missing, or its value cannot be what it has to be; names the variable.
    """
    defaults = WorkerSettings(results_bucket="")
    values: dict[str, object] = {}
    for field, default in vars(defaults).items():
        variable = f"JOBS_{field.upper()}"
        text = environment.get(variable)
        if text is not None:
            values[field] = _parse(variable, text.strip(), default)
    settings = WorkerSettings(**{"results_bucket": "", **values})  # type: ignore[arg-type]  # _parse keeps the types
    if not settings.results_bucket:
        raise ConfigurationError("JOBS_RESULTS_BUCKET is missing: it must name the bucket that verdict lines go to.")
    return settings


def _parse(variable: str, text: str, default: object) -> object:
    match default:
        case bool():
            if text in ("true", "false"):
                return text == "true"
            raise ConfigurationError(f"{variable} is {text!r}: it must be true or false.")
        case int() | float():
            try:
                number = type(default)(text)
            except ValueError:
                number = type(default)(0)
            if 0 < number < float("inf"):
                return number
            raise ConfigurationError(f"{variable} is {text!r}: it must be a number above 0.")
        case _:
            return text
