"""What stops a command about jobs, in a sentence for whoever started it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

_EXPIRED = ("ExpiredToken", "ExpiredTokenException", "RequestExpired")
_UNKNOWN_KEYS = ("InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "SignatureDoesNotMatch")
_DENIED = ("AccessDenied", "AccessDeniedException", "403", "AllAccessDisabled")


class Trouble(Exception):
    """Nothing can be done; says why, and what would be right."""


@contextmanager
def in_words() -> Iterator[None]:
    """Turn what AWS' client library raises into sentences.

    Raises:
        Trouble: instead of the library's errors.
    """
    try:
        yield
    except NoCredentialsError as error:
        raise Trouble("There are no AWS credentials: sign in as for AWS' command line, or set AWS_PROFILE.") from error
    except NoRegionError as error:
        raise Trouble("No region is known: set AWS_REGION, such as AWS_REGION=eu-central-1.") from error
    except ClientError as error:
        raise Trouble(_sentence(error)) from error
    except BotoCoreError as error:
        raise Trouble(f"AWS cannot be asked: {error}") from error


def code_of(error: ClientError) -> str:
    """Return AWS' name of an error."""
    return str(error.response.get("Error", {}).get("Code", ""))


def is_denied(error: ClientError) -> bool:
    """Return whether the caller, or what is called, may not do this."""
    return code_of(error) in _DENIED


def _sentence(error: ClientError) -> str:
    code, said = code_of(error), error.response.get("Error", {}).get("Message", "")
    if code in _EXPIRED:
        return "The AWS credentials have expired: sign in again."
    if code in _UNKNOWN_KEYS:
        return f"AWS does not know these credentials ({code}): sign in again, or set AWS_PROFILE."
    if code in _DENIED:
        return f"The credentials may not do {error.operation_name}: {said}"
    return f"{error.operation_name} was refused ({code}): {said}"
