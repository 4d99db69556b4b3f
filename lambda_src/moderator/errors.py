"""What can be wrong with a request, each with its status; and with the service's own configuration.

    Exception
    ├── ConfigurationError     the service cannot start: a setting, a label set, a policy, the model folder
    ├── WarmUpError            the warm-up event could not do its work
    └── RequestError           the caller's mistake: a status and a sentence
        ├── MalformedBody      400
        ├── RouteNotFound      404
        ├── MethodNotAllowed   405
        ├── TooMuch            413
        ├── UnknownPicture     415
        ├── UnknownVideo       415: of jobs; no route takes videos
        ├── UnsupportedBody    415
        ├── InvalidField       422
        │   ├── BrokenPicture  422
        │   └── BrokenVideo    422: as above
        └── OutOfTime          503: not the caller's mistake, but one that the caller can mend

Adapters and the local server add kinds of their own. Anything else that is raised while a request is answered is a bug,
and is never turned into one of these.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import ClassVar


class ConfigurationError(Exception):
    """The service cannot start; the message names what is wrong and what would be right."""


class WarmUpError(Exception):
    """The warm-up event could not put every embedding into the store."""


class RequestError(Exception):
    """The caller's mistake; `detail` says what was wrong and what would be right.

    `field` is the name of what was wrong, as the caller wrote it (`images[1]`), where whoever found it knew it. Some
    clients read it.
    """

    status: ClassVar[HTTPStatus] = HTTPStatus.BAD_REQUEST
    title: ClassVar[str] = "Bad request"

    def __init__(self, detail: str, *, field: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field

    def forget_where(self) -> None:
        """Drop the traceback of an error that was kept as an outcome.

        It holds what the functions on it held, a request's ten megabytes among it; where one of these keeps the error
        in turn, all of that stays until the interpreter's next full collection, which may be dozens of requests later.
        """
        self.__traceback__ = self.__context__ = self.__cause__ = None

    def problem(self) -> dict[str, str | int]:
        """Return the problem document of RFC 9457; its type is a name, not an address: there is nothing to fetch."""
        name = type(self).__name__
        kebab = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("-")
        return {
            "type": f"urn:clip-video-moderator:problem:{kebab}",
            "title": self.title,
            "status": int(self.status),
            "detail": self.detail,
        }


class MalformedBody(RequestError):
    """The body is not JSON, or the base64 is not base64."""

    title = "The request cannot be read"


class RouteNotFound(RequestError):
    """There is no such route."""

    status = HTTPStatus.NOT_FOUND
    title = "No such route"


class MethodNotAllowed(RequestError):
    """The route exists, but not with this method."""

    status = HTTPStatus.METHOD_NOT_ALLOWED
    title = "The route does not take this method"

    def __init__(self, detail: str, *, allowed: str) -> None:
        super().__init__(detail)
        self.allowed = allowed


class TooMuch(RequestError):
    """More pixels, bytes, labels or pictures than allowed."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    title = "The request is too large"


class UnknownPicture(RequestError):
    """The bytes are not a picture of a kind that is read here."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    title = "Not a picture that can be read"


class UnknownVideo(RequestError):
    """The bytes are not a video of a kind that is read here."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    title = "Not a video that can be read"


class UnsupportedBody(RequestError):
    """The body as a whole is of a kind that is not read here."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    title = "Not a body that can be read"


class InvalidField(RequestError):
    """A field is missing, of the wrong type, empty, given twice or has a value that cannot be used."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    title = "A field is not valid"


class BrokenPicture(InvalidField):
    """The picture is of a known kind but truncated or damaged."""

    title = "The picture is damaged"


class PartlyUnseen(BrokenPicture):
    """Nothing was found in the frames that could be seen, and others could not be; a form has no word for that."""

    title = "The picture could not be seen to its end"


class BrokenVideo(InvalidField):
    """The video is of a known kind, but no frame of it can be decoded."""

    title = "The video is damaged"


class OutOfTime(RequestError):
    """More labels are new than can be embedded in the time that is left; those that are done are kept."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    title = "Not all labels are embedded yet"

    def __init__(self, *, done: int, labels: int, retry_after: int) -> None:
        super().__init__(
            f"{done:,} of the {labels:,} labels are embedded and kept; no time is left for the others. "
            "Send the same request again: it goes on from there."
        )
        self.retry_after = retry_after  # seconds
