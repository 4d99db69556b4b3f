"""The one table of routes: the app answers them, the description lists them, and API Gateway lets no others through.

The routes of other services' clients come from the adapters in `answers/`: a file with an `ADAPTER` is all they need
here. `infra/api.py` and `docs/api.md` are held to this table by tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules

from moderator.web import answers
from moderator.web.answers.adapter import Adapter, Place


@dataclass(frozen=True, kw_only=True)
class Route:
    """A method and a path, and who answers them: a method of `App`, or another service's adapter."""

    method: str
    path: str
    answer: str  # the name of the method, or of the adapter's file
    summary: str
    adapter: Adapter | None = None
    place: Place | None = None  # the adapter's

    @property
    def key(self) -> str:
        """The name that API Gateway gives it."""
        return f"{self.method} {self.path}"

    @property
    def name(self) -> str:
        """A unique name: two routes may have the same `answer`."""
        last = self.path.rpartition("/")[2]
        return f"{self.answer}_{last or 'at_root'}" if self.adapter or not last else self.answer

    @property
    def header(self) -> str:
        """The header, in lower case, without which a request is not for this route; empty where there is none."""
        return self.place.header if self.place else ""


def _of_adapters() -> Iterator[Route]:
    """Yield the places of every file in `answers/` that has an adapter."""
    for module in iter_modules(answers.__path__):
        adapter = getattr(import_module(f"{answers.__name__}.{module.name}"), "ADAPTER", None)
        if adapter is not None:
            for place in adapter.places:
                yield Route(
                    method="POST",
                    path=place.path,
                    answer=module.name,
                    summary=place.summary,
                    adapter=adapter,
                    place=place,
                )


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
    *_of_adapters(),
)
