"""What each form of a product costs on the processor that the model is for, which need not be the one that exports it.

One file a target in `costs/`, written by a command: `make bench-arm` counts for graviton2 under emulation, and
`python -m bench.form_costs NAME` measures on the machine that it runs on.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from model_build.forms import Form
from model_build.products import Product
from model_build.source import ExportError

FOLDER = Path(__file__).resolve().parent / "costs"
DEFAULT = "graviton2"

Norm = Literal["fused", "plain"]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A product that was counted or measured, and what it costs in each form: any one unit, the same in a file."""

    inner: int  # rows of the weights
    columns: int
    cost: Mapping[Form, float]


@dataclass(frozen=True, kw_only=True)
class Costs:
    """A target's costs."""

    target: str
    shapes: Sequence[Shape]
    norm: Norm  # how a LayerNormalization is cheapest written

    def ordered(self, product: Product, forms: Sequence[Form]) -> list[Form]:
        """Return `forms`, the cheapest for this product first; what costs more than float32 is left out.

        The costs are those of the shape that is nearest: as many times larger or smaller, over both sides, as possible.
        """
        nearest = min(self.shapes, key=lambda shape: _distance(shape, product))
        affordable = [form for form in forms if nearest.cost[form] <= nearest.cost["fp32"]]
        return sorted(affordable, key=lambda form: nearest.cost[form])


def targets() -> list[str]:
    """Return the names of all targets."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def read_costs(target: str) -> Costs:
    """Read a target's costs.

    Raises:
        ExportError: there is no such target.
    """
    if target not in targets():
        raise ExportError(f"The target {target!r} is not known: there are {', '.join(targets())}.")
    content = json.loads((FOLDER / f"{target}.json").read_text(encoding="utf-8"))
    norms: dict[Norm, float] = content["norms"]
    return Costs(
        target=target,
        shapes=[
            Shape(inner=shape["inner"], columns=shape["columns"], cost=shape["cost"]) for shape in content["products"]
        ],
        norm=min(norms, key=lambda form: norms[form]),
    )


def write_costs(
    target: str, *, how: str, unit: str, rows: int, products: Sequence[Shape], norms: Mapping[Norm, float]
) -> Path:
    """Write a target's costs, and return the file."""
    content: dict[str, Any] = {
        "how": how,
        "unit": unit,
        "rows_of_activations": rows,
        "norms": {norm: round(cost, 4) for norm, cost in norms.items()},
        "products": [
            {
                "inner": shape.inner,
                "columns": shape.columns,
                "cost": {form: round(cost, 4) for form, cost in shape.cost.items()},
            }
            for shape in products
        ],
    }
    path = FOLDER / f"{target}.json"
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return path


def _distance(shape: Shape, product: Product) -> float:
    return abs(math.log(shape.inner / product.rows)) + abs(math.log(shape.columns / product.columns))
