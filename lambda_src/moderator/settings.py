"""The service's settings, read once from the environment into a frozen value.

What is not the service's own is read where it is needed: AWS's keys and region (`labels/iam.py`), memory (`cpus.py`)
and way of starting (`handler.py`), and the names that are set for Powertools (`telemetry.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from moderator.errors import ConfigurationError

_LAMBDA_SRC = Path(__file__).resolve().parent.parent

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off", ""})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What can be changed without changing code; each field's variable is its name in capitals.

    Sizes are counts, times are in the unit that the name ends with.
    """

    model_dir: Path = _LAMBDA_SRC / "demo_model"
    label_sets_dir: Path = _LAMBDA_SRC / "label_sets"
    policies_dir: Path = _LAMBDA_SRC / "policies"

    # The store: `redis://` or `rediss://` (TLS); empty for no store.
    cache_url: str = ""
    # Use a cluster client, which asks the store for its slots first: serverless ElastiCache needs one.
    cache_cluster: bool = False
    # Both set: authenticate to ElastiCache with a signed IAM token instead of a password.
    cache_iam_user: str = ""
    cache_iam_name: str = ""
    # Set: sign in with the password that this secret of AWS Secrets Manager holds, asked for at this address (empty:
    # that of the secret's region), as this user (empty: whom the secret names, or none).
    cache_credentials_arn: str = ""
    cache_credentials_url: str = ""
    cache_user: str = ""
    cache_ttl_seconds: int = 30 * 24 * 3600
    # The most that one request may wait for the store, in all.
    cache_budget_ms: int = 150
    # How long a failing store is left alone before it is tried again.
    cache_retry_seconds: float = 5.0
    # Labels kept in this process; 10,000 embeddings of 512 numbers are 20 MB.
    memory_labels: int = 10_000

    max_pixels: int = 50_000_000
    max_body_bytes: int = 10_000_000
    max_labels: int = 1000
    max_pictures: int = 16

    # The most that a request may take: API Gateway answers 503 itself after 30 s, and Lambda ends the function before.
    max_seconds: float = 29.0
    # What answers other services' clients that name nothing, and the mildest action that counts as a yes where their
    # form knows only yes and no: review or block.
    default_policy: str = "moderation"
    default_label_set: str = "moderation"
    flag_from: Literal["review", "block"] = "block"

    # Buckets in S3, with spaces or commas between them, whose objects may stand for a picture in Rekognition's form.
    read_buckets: str = ""

    # Threads of the towers; 0 means as many as this process may really use.
    threads: int = 0
    # Labels in the log help to debug, but they are the client's own words.
    log_labels: bool = False


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings from `environment`.

    Raises:
        ConfigurationError: a variable's value is not valid; the message names the variable.
    """
    defaults = Settings()
    values: dict[str, object] = {}
    for field, default in vars(defaults).items():
        variable = field.upper()
        text = environment.get(variable)
        if text is not None:
            values[field] = _parse(variable, text.strip(), default)
    settings = Settings(**values)  # type: ignore[arg-type]  # _parse keeps each default's type
    _check(settings)
    return settings


def _parse(variable: str, text: str, default: object) -> object:
    match default:
        case bool():
            if text.lower() in _TRUE | _FALSE:
                return text.lower() in _TRUE
            raise ConfigurationError(f"{variable} is {text!r}: it must be true or false.")
        case int():
            if text.isascii() and text.isdigit():
                return int(text)
            raise ConfigurationError(f"{variable} is {text!r}: it must be a whole number, 0 or more.")
        case float():
            try:
                number = float(text)
            except ValueError:
                number = -1.0
            if 0 < number < float("inf"):
                return number
            raise ConfigurationError(f"{variable} is {text!r}: it must be a number above 0.")
        case Path():
            if not text:
                raise ConfigurationError(f"{variable} is empty: it must name a folder.")
            return Path(text)
        case _:
            return text


def _check(settings: Settings) -> None:
    for field in (
        "cache_ttl_seconds",
        "cache_budget_ms",
        "memory_labels",
        "max_pixels",
        "max_body_bytes",
        "max_labels",
        "max_pictures",
    ):
        if getattr(settings, field) < 1:
            raise ConfigurationError(f"{field.upper()} is 0: it must be 1 or more.")
    if settings.max_seconds < 1:
        raise ConfigurationError(
            f"MAX_SECONDS is {settings.max_seconds:g}: it must be 1 or more, for half a second of it is the answer's."
        )
    if settings.flag_from not in ("review", "block"):
        raise ConfigurationError(f"FLAG_FROM is {settings.flag_from!r}: it must be review or block.")
    if settings.cache_url and not settings.cache_url.startswith(("redis://", "rediss://")):
        # The URL may hold a password, so it is not repeated.
        raise ConfigurationError("CACHE_URL must start with redis:// or rediss://.")
    if settings.cache_url and not _names_a_port(settings.cache_url):
        raise ConfigurationError("CACHE_URL's port must be a whole number from 1 to 65535.")
    if bool(settings.cache_iam_user) != bool(settings.cache_iam_name):
        raise ConfigurationError("CACHE_IAM_USER and CACHE_IAM_NAME go together: set both or neither.")
    if settings.cache_iam_user and not settings.cache_url.startswith("rediss://"):
        raise ConfigurationError("CACHE_IAM_USER needs CACHE_URL to start with rediss://: ElastiCache asks for TLS.")
    for bucket in settings.read_buckets.replace(",", " ").split():
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket):
            raise ConfigurationError(f"READ_BUCKETS names {bucket!r}: it must be the name of a bucket, not an address.")
    _check_credentials(settings)


def _check_credentials(settings: Settings) -> None:
    arn = settings.cache_credentials_arn
    if arn and not re.fullmatch(r"arn:[\w-]+:secretsmanager:[\w-]+:\d{12}:secret:\S+", arn):
        raise ConfigurationError(
            f"CACHE_CREDENTIALS_ARN is {arn!r}: it must be the ARN of a secret in AWS Secrets Manager."
        )
    if arn and not settings.cache_url:
        raise ConfigurationError("CACHE_CREDENTIALS_ARN needs CACHE_URL: it is the password of that store.")
    if arn and settings.cache_iam_user:
        raise ConfigurationError("CACHE_CREDENTIALS_ARN and CACHE_IAM_USER exclude each other: set one of them.")
    if arn and "@" in settings.cache_url:
        raise ConfigurationError("CACHE_CREDENTIALS_ARN has the password, so CACHE_URL must have none.")
    for name in ("cache_user", "cache_credentials_url"):
        if getattr(settings, name) and not arn:
            raise ConfigurationError(f"{name.upper()} needs CACHE_CREDENTIALS_ARN, which has the password.")
    if settings.cache_credentials_url and not settings.cache_credentials_url.startswith(
        ("https://", "http://127.0.0.1")
    ):
        raise ConfigurationError(
            f"CACHE_CREDENTIALS_URL is {settings.cache_credentials_url!r}: it must start with https://."
        )


def _names_a_port(url: str) -> bool:
    """Return whether the URL's port, if it has one, can be a port."""
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False
