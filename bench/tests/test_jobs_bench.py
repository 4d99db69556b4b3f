"""The measuring of jobs' worker: every picture is judged, what was measured adds up, and the page says it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench import jobs_page
from bench.jobs import Measured, measure
from bench.machine import machine
from moderator.settings import Settings


@pytest.mark.slow
def test_the_worker_is_measured_and_the_page_has_its_figures() -> None:
    measured = measure(Settings().model_dir, "demo", 20)
    assert measured.objects == 20
    assert len(measured.ratios) == len(measured.after_mb)
    assert 0 < max(measured.after_mb) <= sum(measured.peak_mb.values()) + 1
    assert measured.peak_mb.keys() == measured.cpu_s.keys() == {"worker", "judge"}
    page = jobs_page.page([measured], machine())
    assert f"**{measured.overlap:.0%}**" in page


def test_dollars_are_of_the_time_and_the_memory() -> None:
    one = Measured(
        name="a model",
        policy="moderation",
        objects=1000,
        parts=2,
        worker_s=60.0,
        tower_s=54.0,
        ratios=(0.9,),
        cpu_s={"worker": 5.0, "judge": 95.0},
        tower_cpu_s=90.0,
        peak_mb={"worker": 100.0, "judge": 300.0},
        after_mb=(400.0,),
    )
    # 0.1 s of one CPU are 58,810 s of 1.70 a million, and each GB-second of 2.94 GB costs $0.0000133334.
    assert "58,810 s · 3008/1024 GB · $0.0000133334 = $2.30" in " ".join(jobs_page.page([one], machine()).split())
    assert jobs_page._dollars(replace(one, objects=500)) > 1.5 * jobs_page._dollars(one)
