"""Other services' forms cost next to nothing."""

from __future__ import annotations

from bench import clients


def test_no_adapter_costs_a_millisecond_over_our_own_form() -> None:
    figures = clients.measure(rounds=40)
    assert set(figures) == {"openai", "rekognition", "pict-rs", "photoprism", "misskey"}
    assert max(figures.values()) < clients.MOST_MS, figures
