"""Times several things in turns, so that a machine that slows down slows all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

# After a run, torch's and ONNX Runtime's threads spin for a while; wait, so that they do not slow the next action.
_SETTLE_SECONDS = 0.1

# Requests come one after another, so each turn is several calls; the first only wakes sleeping threads.
_RUNS_A_TURN = 3


def calls(rounds: int, warm_up: int = 1) -> int:
    """Return how often `fastest` calls each action."""
    return (warm_up + rounds) * (1 + _RUNS_A_TURN)


def fastest(actions: Mapping[str, Callable[[], object]], *, rounds: int, warm_up: int = 1) -> dict[str, float]:
    """Run each action once a round: one call that does not count, then three that do.

    Returns:
        Each action's fastest call in milliseconds: what else runs on the machine can only add to it.
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
    return {name: min(values) for name, values in times.items()}
