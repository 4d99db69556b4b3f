"""What jobs cost is what AWS' price lists say of the kind of executions that runs, calculated here by hand."""

from __future__ import annotations

import io
from typing import Any

import pytest

from moderator.jobs.cost import Prices, job_parts, requests_of_batches
from moderator.jobs.objects import Objects
from moderator.jobs.requests import Answered
from moderator.jobs.sources import Source
from tools.jobs import costs

# 10 million thumbnails in batches of 100, of 3 s each.
CATALOGUE: dict[str, Any] = {
    "objects": 10_000_000,
    "reads": 10_100_000,
    "writes": 300_000,
    "batches": 100_000,
    "worker_seconds": 300_000,
    "memory_mb": 3008,
}


def test_express_children_cost_their_requests_their_time_and_a_transition_each() -> None:
    """The distributed map itself is charged for each child that it starts, whichever kind that is."""
    requests = 0.10  # 100,000 · $1.00 per million
    time = 0.3126  # 300,000 s · 64 MB · $0.00001667 for each GB-second
    starts = 2.50  # 100,000 · $25 per million
    parts = job_parts(Prices(), **CATALOGUE)
    assert parts["states"] == pytest.approx(requests + time + starts, abs=0.0001)
    assert parts["reading"] == pytest.approx(4.04)  # 10.1 million · $0.40 per million
    assert parts["lines"] == pytest.approx(1.50)  # 300,000 · $5.00 per million


def test_what_is_asked_of_s3_for_each_batch() -> None:
    """Its own part is looked for, all names are listed, and its part and its counts are written."""
    assert requests_of_batches(100_000) == Answered(reads=100_000, writes=300_000)


def test_standard_children_cost_four_transitions_each_and_no_time() -> None:
    """Their start, their call, a look at how that ended, and their end; a job with videos has them."""
    assert job_parts(Prices(), **CATALOGUE, standard=True)["states"] == pytest.approx(10.00)
    longer = CATALOGUE | {"worker_seconds": 3_000_000}
    assert job_parts(Prices(), **longer, standard=True)["states"] == pytest.approx(10.00)


def test_another_try_of_a_batch_is_a_call_and_no_other_child() -> None:
    """Of a Standard child it is two transitions more, of an Express one nothing but its time."""
    for standard, more in ((True, 15.00), (False, 2.9126)):
        parts = job_parts(Prices(), **CATALOGUE, retries=100_000, standard=standard)
        assert parts["states"] == pytest.approx(more, abs=0.0001)
    once, twice = (job_parts(Prices(), **CATALOGUE, retries=retries) for retries in (0, 100_000))
    assert twice["worker"] - once["worker"] == pytest.approx(0.02)  # 100,000 · $0.20 per million


@pytest.mark.parametrize(
    ("size", "ranges"), [(0, 0), (1, 1), (1_048_576, 1), (1_048_577, 2), (20_000_000, 20), (5_000_000_000, 245)]
)
def test_a_videos_ranges_are_its_megabytes_and_no_more_than_may_be_read(size: int, ranges: int) -> None:
    assert costs.ranges_of(size) == ranges


def test_the_page_has_what_standard_children_add_to_the_catalogue() -> None:
    """By the worker's time there: 470,479 s, for which Standard children have no price of their own."""
    express, standard = (costs.catalogue_parts(Prices(), costs.VCPU_MS, standard=kind) for kind in (False, True))
    assert express["states"] == pytest.approx(0.10 + 0.4902 + 2.50, abs=0.0001)
    assert standard["states"] == pytest.approx(10.00)
    assert f"${sum(standard.values()):.2f} together" in costs.tables()


def test_the_page_has_videos_by_their_frames_and_ranges() -> None:
    """100,000 of 20 MB: 64 frames of 80 ms, and 2 s for the decoder, of 1.70 vCPUs."""
    parts = costs.video_parts(Prices())
    assert parts["worker"] == pytest.approx(100_000 * 7.12 / 1.7004 * 2.9375 * 0.0000133334, rel=0.001)
    assert parts["reading"] == pytest.approx(0.8404)  # (100,000 · 21 + 1,000) · $0.40 per million
    assert parts["states"] == pytest.approx(0.10)  # 1,000 · 4 · $25 per million


def test_a_tag_costs_what_tags_and_e_tags_are_asked_for() -> None:
    assert costs.upload_parts(Prices(), costs.VCPU_MS)["tags"] == pytest.approx(
        0.62
    )  # 100,000 · (3 · 0.4 + 5.0) per million


class Counting:
    """An S3 of one object of zeros, which counts what it is asked for."""

    def __init__(self, size: int) -> None:
        self.size, self.asked = size, 0

    def get_object(self, **asked: str) -> dict[str, Any]:
        self.asked += 1
        first, last = (int(number) for number in asked["Range"].removeprefix("bytes=").split("-"))
        data = bytes(min(last, self.size - 1) - first + 1)
        return {
            "Body": io.BytesIO(data),
            "ContentRange": f"bytes {first}-{last}/{self.size}",
            "ContentLength": len(data),
            "ETag": '"e"',
        }


def test_a_whole_video_is_read_by_as_many_requests_as_are_paid_for() -> None:
    s3 = Counting(5_500_000)
    source = Source(bucket="b", key="k", size=s3.size)
    with Objects(s3, max_bytes=25_000_000).open(source, max_bytes=500_000_000) as file:
        assert len(file.readall()) == s3.size
    assert s3.asked == costs.ranges_of(s3.size) == 6
