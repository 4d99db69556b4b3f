"""What can be wrong with a request, each with its status; and what can be wrong with the service's own set-up."""

from __future__ import annotations


class ConfigurationError(Exception):
    """The service cannot start as it is set up; the message names what to change."""


class RequestError(Exception):
    """The caller's mistake."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail


class InvalidField(RequestError):  # noqa: N818  # reads as what it is where it is raised
    """A field's value cannot be used; `detail` says which and why."""

    def __init__(self, detail: str) -> None:
        super().__init__(422, "Invalid field", detail)
