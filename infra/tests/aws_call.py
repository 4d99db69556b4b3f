"""One call of AWS' that a resource is made with, as a value: a row of the table in `aws_calls.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from infra.tests.program import Inputs

Shape = Callable[[Inputs], Inputs]


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call: which inputs go into it, under AWS' names where these are others than Pulumi's."""

    service: str
    operation: str
    renamed: dict[str, str] = field(default_factory=dict)
    # Inputs that other calls are made of, or that are Pulumi's own.
    without: frozenset[str] = frozenset()
    # The member that Pulumi itself chooses, after the resource's name.
    named: str = ""
    shape: Shape = dict

    def made_of(self, name: str, inputs: Inputs) -> dict[str, Any]:
        """Return the call's members."""
        taken = {self.renamed.get(key, key): value for key, value in inputs.items() if key not in self.without}
        return self.shape({**({self.named: f"{name}-1234567"} if self.named else {}), **taken})
