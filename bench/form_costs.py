"""Measures what each form costs on this machine: `python -m bench.form_costs x86-vnni` writes that target's table."""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import Any

import numpy as np

from bench import forms
from bench.machine import machine
from model_build.costs import Shape, write_costs
from moderator.clip.session import cpu_session

_ROUNDS = 200
_CALLS = 2  # few, so that on a busy machine some turns are not interrupted


def main() -> None:
    """Measure, and write the table."""
    (target,) = sys.argv[1:] or sys.exit("Which target? python -m bench.form_costs x86-vnni")
    cases = [forms.product(*shape, form) for shape in forms.PRODUCTS for form in forms.FORMS]
    cases += [forms.norm(form) for form in forms.NORMS]
    costs = measure(cases)
    here = machine()
    path = write_costs(
        target,
        how=f"python -m bench.form_costs {target}, one thread; {here['cpu']}, {', '.join(here['instructions'])}",
        unit="microseconds",
        rows=forms.ROWS,
        products=[
            Shape(inner=inner, columns=columns, cost={form: costs[f"{inner}x{columns} {form}"] for form in forms.FORMS})
            for inner, columns in forms.PRODUCTS
        ],
        norms={form: costs[f"norm {form}"] for form in forms.NORMS},
    )
    print(f"Written: {path}")


def measure(cases: list[forms.Case]) -> dict[str, float]:
    """Return each case's microseconds with one thread: of its fastest turn, taken in turns."""
    runs = {case.name: _run(case) for case in cases}
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(_ROUNDS):
        for name, run in runs.items():
            run()
            began = time.perf_counter()
            for _ in range(_CALLS):
                run()
            best[name] = min(best[name], (time.perf_counter() - began) / _CALLS * 1e6)
    return best


def _run(case: forms.Case) -> Any:
    x = np.random.default_rng(1).standard_normal((forms.ROWS, case.inner)).astype(np.float32)
    return partial(cpu_session(case.graph.SerializeToString(), threads=1, optimise=False).run, None, {"x": x})


if __name__ == "__main__":
    main()
