"""The one table of routes: the app answers them, the description lists them, and API Gateway lets through no others.

`infra/api.py` and `docs/api.md` are held to this table by tests.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Route:
    """A method and a path, and the method of `App` that answers them."""

    method: str
    path: str
    answer: str
    summary: str

    @property
    def key(self) -> str:
        """The name that API Gateway gives it."""
        return f"{self.method} {self.path}"

    @property
    def name(self) -> str:
        """A name of its own: two routes may be answered by one method."""
        return f"{self.answer}_at_root" if self.path == "/" else self.answer


ROUTES = (
    Route(method="POST", path="/classify", answer="classify", summary="Say how probable each label is"),
    Route(
        method="POST", path="/moderate", answer="moderate", summary="Say what a policy does with the picture, and why"
    ),
    Route(method="POST", path="/", answer="classify", summary="The same as /classify, for clients of the predecessor"),
    Route(method="GET", path="/", answer="page", summary="The page: pictures, verdicts, and policies to tune"),
    Route(method="GET", path="/try", answer="page", summary="The same page"),
    Route(method="GET", path="/health", answer="health", summary="The model, and the state of the label store"),
    Route(method="GET", path="/label-sets", answer="label_sets", summary="The configured label sets"),
    Route(method="GET", path="/policies", answer="policies", summary="The configured policies"),
    Route(method="GET", path="/openapi.json", answer="openapi", summary="The description of all routes"),
    Route(method="GET", path="/docs", answer="docs", summary="The description as a page"),
)
