"""Why S3 does not give an object, in a word and a sentence that says what to do; and asking again where that helps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from moderator.errors import RequestError

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

_TRIES = 4

Answer = TypeVar("Answer")


class ObjectGone(RequestError):
    """The object is not there any more, or not in this version."""

    title = "The object is gone"


class ObjectRefused(RequestError):
    """S3 does not let the worker read the object."""

    title = "The object may not be read"


class ObjectArchived(RequestError):
    """The object is in a class of storage that nothing can be read from."""

    title = "The object is archived"


class ObjectChanged(RequestError):
    """The object was replaced between two reads of it."""

    title = "The object changed"


class ObjectUnreadable(RequestError):
    """S3 failed, several times."""

    title = "The object cannot be read now"


@contextmanager
def when_gone() -> Iterator[None]:
    """Turn S3's word for an object that is not there into ours, and leave its other words alone.

    Raises:
        ObjectGone: as it says.
    """
    from botocore.exceptions import ClientError

    try:
        yield
    except ClientError as error:
        if isinstance(meant := _meant(error), ObjectGone):
            raise meant from error
        raise


def _meant(error: ClientError) -> RequestError | None:
    """Return what S3's answer says about the object, and what is to be done; None where it may be otherwise soon.

    https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
    """
    status, said = error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]
    code = said["Code"]
    match status, code:
        case _, "InvalidObjectState":
            where = said.get("StorageClass") or said.get("AccessTier") or "by its class of storage"
            return ObjectArchived(f"The object is in an archive ({where}): restore it, then run the job again.")
        case _, "NoSuchBucket":
            return ObjectGone(f"There is no such bucket ({code}): is its name right, or was it deleted?")
        case 404, _:
            return ObjectGone(f"The object is not there ({code}): it was deleted after it was listed.")
        case 405, _:
            return ObjectGone(f"This version is a delete marker ({code}): the object was deleted, and has no bytes.")
        case 412, _:
            return ObjectChanged(f"The object was replaced while it was read ({code}): run the job again.")
        case ((401 | 403), _):
            return ObjectRefused(
                f"S3 refuses the object ({code}): give the worker's role this bucket, and its KMS key where it has one."
            )
        case 400, _:
            return ObjectRefused(f"S3 does not take the request ({code}): {said.get('Message') or 'it says no more.'}")
    return None


def patiently(read: Callable[[], Answer]) -> Answer:
    """Read again where S3 or the connection fails in the middle of a body, which boto3's own retries do not mend."""
    from botocore.exceptions import BotoCoreError, ClientError

    for left in reversed(range(_TRIES)):
        try:
            return read()
        except ClientError as error:
            if (meant := _meant(error)) is not None:
                raise meant from error
            if not left:
                raise ObjectUnreadable(
                    f"S3 failed {_TRIES} times ({error.response['Error']['Code']}): run the job again."
                ) from error
        except (BotoCoreError, OSError) as error:
            if not left:
                raise ObjectUnreadable(
                    f"S3 failed {_TRIES} times ({type(error).__name__}): run the job again."
                ) from error
    raise AssertionError("unreachable")
