"""How often `block` can promise its precision, and what it finds then: `python -m tools.calibration.promises`.

On drawn scores of two normal distributions, a fifth of them the category's. The table is in docs/policies.md, which a
test holds to what is printed here.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm

from tools.calibration.thresholds import NEVER, Targets, choose

_DRAWS = 100
_SHARE = 0.2
_PICTURES = (60, 100, 300, 1000)  # of the category
# AUROC, and how many of a hundred labels are wrong.
_WORLDS = ((0.98, 0), (0.998, 0), (0.998, 1))


def table() -> str:
    """Return the table in Markdown."""
    titles = [f"AUROC {auroc:g}" + (f", {wrong} % of labels wrong" if wrong else "") for auroc, wrong in _WORLDS]
    lines = [f"| pictures of the category | {' | '.join(titles)} |", f"| ---: | {' | '.join(['---'] * len(titles))} |"]
    for pictures in _PICTURES:
        cells = [_cell(pictures, auroc, wrong / 100) for auroc, wrong in _WORLDS]
        lines.append(f"| {pictures:,} | {' | '.join(cells)} |")
    best = [f"{100 * _best(auroc):.0f} % could be found" for auroc, _ in _WORLDS]
    return "\n".join([*lines, f"| any number | {' | '.join(best)} |"])


def _cell(pictures: int, auroc: float, wrong: float) -> str:
    apart = _apart(auroc)
    rng = np.random.default_rng(0)
    promised: list[float] = []
    unpromised: list[float] = []
    for _ in range(_DRAWS):
        truth = np.arange(round(pictures / _SHARE)) < pictures
        evidence = rng.normal(np.where(truth, apart, 0.0), 1.0)
        block = choose(expit(evidence), truth ^ (rng.random(len(truth)) < wrong), Targets()).block
        found = float(norm.sf(logit(block.value) - apart)) if block.value < NEVER else 0.0
        (promised if block.promised else unpromised).append(found)
    often = f"{100 * len(promised) / _DRAWS:.0f} %"
    finds = f", finds {100 * np.mean(promised):.0f} %" if promised else ""
    otherwise = f"; else finds {100 * np.mean(unpromised):.0f} %" if unpromised else ""
    return f"{often}{finds}{otherwise}"


def _apart(auroc: float) -> float:
    """Return how far apart two normal distributions of spread 1 are whose scores this AUROC tells apart."""
    return float(np.sqrt(2) * norm.ppf(auroc))


def _best(auroc: float) -> float:
    """Return the recall of the lowest threshold that is precise enough, were it known."""
    apart = _apart(auroc)
    points = np.linspace(-5, 10, 150_001)
    right, wrong = _SHARE * norm.sf(points - apart), (1 - _SHARE) * norm.sf(points)
    return float(norm.sf(points[np.argmax(right >= Targets().precision * (right + wrong))] - apart))


if __name__ == "__main__":
    print(table())
