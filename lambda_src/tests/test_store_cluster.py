"""A clustered store: a slot may move and a master may die while requests run."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from moderator.settings import Settings
from support.harness import Service, StartService
from support.redis_cluster import Cluster, redis_cluster
from support.tally import Tally
from test_store_failures import BEFORE, DURING, RETRY_SECONDS, Witness, label_ms

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with redis_cluster(tmp_path) as running:
        yield running


def witness_of(cluster: Cluster, start_service: StartService, service: Service) -> Witness:
    """A witness with the default budget, as in the cloud."""
    clustered = start_service(
        cache_url=cluster.url, cache_cluster=True, memory_labels=1, cache_retry_seconds=RETRY_SECONDS
    )
    return Witness(clustered, service)


def test_all_labels_are_read_and_written_at_the_one_master_of_their_slot(
    cluster: Cluster, start_service: StartService, service: Service, tally: Tally
) -> None:
    witness = witness_of(cluster, start_service, service)
    witness.ask(DURING)
    assert witness.ask(DURING).label_cache["store"] >= 2
    assert len({cluster.slot(key) for key in cluster.all_keys()}) == 1
    tally.add("Cluster", "Three masters", "read and written in one slot")


def test_a_slot_moves_while_requests_run(
    cluster: Cluster, start_service: StartService, service: Service, tally: Tally
) -> None:
    witness = witness_of(cluster, start_service, service)
    witness.ask(DURING)
    slot = cluster.slot(cluster.all_keys()[0])
    source = cluster.owner(slot)
    target = (source + 1) % 3
    mover = threading.Thread(target=cluster.move, args=(slot, source, target, 0.3))
    mover.start()
    asked = 0
    while mover.is_alive():
        witness.ask(DURING)
        asked += 1
    mover.join()
    assert asked > 5
    assert len(cluster.admins[target].keys()) >= 3
    assert cluster.admins[source].keys() == []
    time.sleep(RETRY_SECONDS)
    witness.ask(DURING)
    assert witness.ask(DURING).label_cache["store"] >= 2
    tally.add("Cluster", "The labels' slot moves to another master meanwhile", "answered right", asked)


@pytest.mark.parametrize("whose", ["the slot's own", "the one in the URL"])
def test_a_master_dies_and_comes_back(
    whose: str, cluster: Cluster, start_service: StartService, service: Service, tally: Tally
) -> None:
    budget = Settings().cache_budget_ms
    witness = witness_of(cluster, start_service, service)
    witness.ask(DURING)
    place = cluster.owner(cluster.slot(cluster.all_keys()[0])) if whose == "the slot's own" else 0
    cluster.servers[place].stop()
    replies = [witness.ask(BEFORE) for _ in range(10)]
    assert sorted(map(label_ms, replies))[5] < budget / 2
    cluster.servers[place].start()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        time.sleep(RETRY_SECONDS)
        witness.ask(BEFORE)
        if witness.ask(BEFORE).label_cache["store"] >= 2:
            break
    else:
        raise AssertionError("the store was not used again")
    tally.add("Cluster", f"A master dies, {whose}, and comes back", "answered right", len(replies))


def test_a_service_that_starts_while_the_master_of_its_url_is_dead_still_answers(
    cluster: Cluster, start_service: StartService, service: Service, tally: Tally
) -> None:
    cluster.servers[0].stop()
    witness = witness_of(cluster, start_service, service)
    replies = [witness.ask(DURING) for _ in range(5)]
    assert sum(label_ms(reply) for reply in replies[1:]) < 1000
    tally.add("Cluster", "The master in the URL is dead at the start", "answered right", len(replies))
