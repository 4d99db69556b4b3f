"""Times several things side by side: turn by turn, so that a machine that slows down slows them all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

# After a run, torch's and ONNX Runtime's threads spin for a while; the next measurement should not share its CPUs.
_SETTLE_SECONDS = 0.1

# Requests come one after another, so each turn is several runs; the first one wakes sleeping threads and is left out.
_RUNS_A_TURN = 3


def calls(rounds: int, warm_up: int = 1) -> int:
    """How often `medians` calls each action."""
    return (warm_up + rounds) * (1 + _RUNS_A_TURN)


def medians(actions: Mapping[str, Callable[[], object]], *, rounds: int, warm_up: int = 1) -> dict[str, float]:
    """Give each action a turn a round: one run that does not count, and three that do.

    Returns:
        Each action's median in milliseconds.
    """
    times: dict[str, list[float]] = {name: [] for name in actions}
    for number in range(warm_up + rounds):
        for name, action in actions.items():
            time.sleep(_SETTLE_SECONDS)
            action()
            for _ in range(_RUNS_A_TURN):
                began = time.perf_counter()
                action()
                elapsed = time.perf_counter() - began
                if number >= warm_up:
                    times[name].append(elapsed * 1000)
    return {name: statistics.median(values) for name, values in times.items()}
