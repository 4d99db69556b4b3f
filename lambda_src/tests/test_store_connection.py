"""A slow sign-in costs no request more than its allowance, and the connection is there for the next one."""

from __future__ import annotations

import json
import logging
import signal
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest

from moderator.handler import build_handler
from moderator.labels.store import Embedding, LabelStore
from moderator.labels.store_client import connector
from moderator.settings import Settings, read_settings
from support.aws_events import http_api
from support.harness import RedisServer
from support.locked_store import LockedStore, locked_store
from support.pictures import as_base64, drawn, encoded
from support.runtime_api import runtime, runtime_api
from support.server_process import server_process
from support.tally import Tally
from support.tcp_proxy import TcpProxy

pytestmark = pytest.mark.slow

PICTURE = as_base64(encoded(drawn("red", "circle")))
ALLOWANCE = Settings().cache_budget_ms / 1000
# A thread that only sleeps is this late only if other programs have taken the CPU: the service does not.
STOOD_STILL = 0.05
TRIES = 5
LABELS: dict[str, Embedding] = {
    label: np.eye(256, dtype=np.float32)[place] for place, label in enumerate(["a cat", "a dog", "a bird"])
}


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[tuple[LockedStore, TcpProxy]]:
    """The cloud's store - TLS, its own user, a cluster - behind a proxy through which all of its connections go."""
    with locked_store(tmp_path, clustered=True) as store, closing(TcpProxy(store.tls_port)) as proxy:
        store.announce(proxy.port)
        yield store, proxy


@dataclass
class Metronome:
    """Sleeps again and again, and notes how late it woke up at worst."""

    late: float = 0.0
    stopped: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        threading.Thread(target=self._tick, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()

    def _tick(self) -> None:
        while not self.stopped.is_set():
            began = time.perf_counter()
            time.sleep(0.005)
            self.late = max(self.late, time.perf_counter() - began - 0.005)


@dataclass
class Instance:
    """One instance's label store, with the real settings and a clock that can be set forward."""

    store: LockedStore
    port: int
    hours: float = 0.0
    signed: list[datetime] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        variables = self.store.environment(self.port)
        settings = read_settings(variables)
        assert settings.cache_budget_ms == 150
        self.labels = LabelStore(
            connector(settings, variables, self.now),
            fingerprint="0123456789abcdef",
            embedding_size=256,
            ttl_seconds=1000,
            budget_seconds=ALLOWANCE,
            retry_seconds=settings.cache_retry_seconds,
            log=logging.getLogger("clip-video-moderator"),
            clock=lambda: time.monotonic() + self.hours * 3600,
        )

    def now(self) -> datetime:
        """Note each signing."""
        self.signed.append(datetime.now(UTC) + timedelta(hours=self.hours))
        return self.signed[-1]

    def request(self) -> int:
        """Read and write as a request does; return how many labels the store had."""
        began = time.perf_counter()
        allowance = self.labels.allowance()
        found = self.labels.read(list(LABELS), allowance)
        if missing := {label: LABELS[label] for label in LABELS if label not in found}:
            self.labels.write(missing, allowance)
        self.waits.append(time.perf_counter() - began)
        return len(found)

    def requests_until_connected(self, seconds: float) -> None:
        """Ask until the store has answered over the new connection; then once more."""
        deadline = time.monotonic() + seconds
        while "mget" not in [client["cmd"] for client in self.store.clients()]:
            assert time.monotonic() < deadline, f"not connected after {len(self.waits)} requests"
            self.request()
            time.sleep(0.02)
        time.sleep(0.1)  # the answer's way back, through the proxy and over a busy machine
        self.request()


@pytest.mark.parametrize("delay_ms", [0, 30, 100, 300, 1000])
def test_under_the_default_budget_every_label_is_read_from_the_second_request_after_the_connection_is_ready(
    delay_ms: int, cloud: tuple[LockedStore, TcpProxy], tally: Tally
) -> None:
    store, proxy = cloud
    proxy.sign_in_delay = delay_ms / 1000
    asked = hold(lambda: connects_and_reads_whatever_happens(Instance(store, proxy.port)))
    tally.add("Store", f"Each sign-in takes {delay_ms} ms, default budget", "waited no longer than 150 ms", asked)


def test_a_connection_that_is_cut_in_the_middle_of_a_read_is_made_anew_in_the_background(
    cloud: tuple[LockedStore, TcpProxy],
) -> None:
    """The client itself would sign in again within the read, which takes longer than the allowance."""
    store, proxy = cloud
    proxy.sign_in_delay = 0.3

    def pass_on_again() -> None:
        proxy.on_request = None

    def is_cut() -> int:
        instance = Instance(store, proxy.port)
        connects_and_reads(instance)
        proxy.on_request = pass_on_again  # instead of passing the next read on, and then its connection is closed
        assert instance.request() == 0
        # Within the 5 seconds for which a store that hangs would be left alone.
        began = time.monotonic()
        while instance.request() < len(LABELS):
            assert time.monotonic() - began < 3
            time.sleep(0.02)
        return waited_no_longer(instance)

    hold(is_cut)


def connects_and_reads_whatever_happens(instance: Instance) -> int:
    """Hold an instance to its promise: from its first request on, after all connections were closed, and after 12 h."""
    instance.request()  # begins to connect
    connects_and_reads(instance)

    instance.store.close_all_connections()
    connects_and_reads(instance)

    signings = len(instance.signed)
    instance.hours = 12.1
    instance.store.close_all_connections()
    connects_and_reads(instance)
    assert len(instance.signed) > signings
    assert min(instance.signed[signings:]) - max(instance.signed[:signings]) > timedelta(hours=12)
    return waited_no_longer(instance)


def connects_and_reads(instance: Instance) -> None:
    instance.requests_until_connected(seconds=10)
    assert [instance.request() for _ in range(20)] == [len(LABELS)] * 20
    assert instance.labels.state == "up"


def waited_no_longer(instance: Instance) -> int:
    """Check that no request waited beyond its allowance; return how many there were."""
    assert max(instance.waits) < ALLOWANCE + STOOD_STILL, sorted(instance.waits)[-5:]
    return len(instance.waits)


def hold(promise: Callable[[], int]) -> int:
    """Test a promise about 150 ms again if the machine stood still: that looks like a store that hangs."""
    for _ in range(TRIES):
        with Metronome() as metronome:
            try:
                return promise()
            except AssertionError:
                if metronome.late < STOOD_STILL:
                    raise
    pytest.fail(f"the machine stood still in each of {TRIES} tries")


def test_all_connections_share_one_tls_context(
    cloud: tuple[LockedStore, TcpProxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, proxy = cloud
    made: list[ssl.SSLContext] = []
    make = ssl.create_default_context

    def noted(*args: Any, **options: Any) -> ssl.SSLContext:
        made.append(make(*args, **options))
        return made[-1]

    monkeypatch.setattr(ssl, "create_default_context", noted)
    instance = Instance(store, proxy.port)
    for _ in range(2):
        instance.labels.open(5.0)
        instance.request()
        store.close_all_connections()
        instance.request()
    assert len(proxy.sent) > 3
    assert len(made) == 1


def test_a_stranger_is_not_trusted_over_a_shared_context_either(
    cloud: tuple[LockedStore, TcpProxy], tmp_path: Path
) -> None:
    """The address to which the name resolves is checked for each connection, not only for the first."""
    store, proxy = cloud
    instance = Instance(store, proxy.port)
    instance.labels.open(5.0)
    assert instance.request() == 0
    (tmp_path / "other").mkdir()
    with locked_store(tmp_path / "other", clustered=True) as stranger:
        proxy.upstream_port = stranger.tls_port
        store.close_all_connections()
        assert instance.request() == 0
        with pytest.raises(Exception, match="certificate verify failed"):
            instance.labels.read_and_renew(list(LABELS), 5.0)
        # One that is being made in the background is there until its handshake fails; but nothing is said over it.
        assert [one for one in stranger.clients() if one["cmd"] != "NULL"] == []


def test_a_service_signs_in_at_its_start_and_its_first_request_reads(
    cloud: tuple[LockedStore, TcpProxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, proxy = cloud
    for name, value in store.environment(proxy.port).items():
        monkeypatch.setenv(name, value)
    build_handler(read_settings(store.environment(proxy.port)))({"warm": {"labels": list(LABELS)}}, None)
    proxy.sign_in_delay = 0.3
    with server_process(store.folder, store.environment(proxy.port)) as running:
        reply = running.service.classify(image_data=PICTURE, labels=list(LABELS))
        assert reply.label_cache == {"precomputed": 0, "memory": 0, "store": 3, "computed": 0}
        assert "WARNING" not in running.log


def test_a_process_that_is_frozen_between_requests_connects_all_the_same(cloud: tuple[LockedStore, TcpProxy]) -> None:
    """As Lambda does: the background goes on only while a request is answered."""
    store, proxy = cloud
    proxy.sign_in_delay = 1.0
    with server_process(store.folder, {**store.environment(proxy.port), "MEMORY_LABELS": "1"}) as running:
        stored = []
        for _ in range(12):
            running.signal(signal.SIGCONT)
            stored.append(running.service.classify(image_data=PICTURE, labels=list(LABELS)).label_cache["store"])
            running.signal(signal.SIGSTOP)
            time.sleep(0.5)
        running.signal(signal.SIGCONT)
    assert stored[0] == 0, "it was connected before it was ever frozen"
    assert stored[-3:] == [len(LABELS) - 1] * 3, stored  # one is in memory


def test_a_restored_snapshot_signs_in_before_its_first_request(redis_server: RedisServer, tmp_path: Path) -> None:
    variables = {"CACHE_URL": redis_server.url, "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start"}
    admin = redis_server.client
    build_handler(Settings(cache_url=redis_server.url))({"warm": {"labels": list(LABELS)}}, None)

    def connections() -> int:
        return int(admin.info("stats")["total_connections_received"])

    before = connections()
    with closing(admin), runtime_api() as api, runtime(api, tmp_path, variables):
        assert api.restoring.wait(timeout=60)
        assert connections() == before, "a connection that the snapshot would not keep"
        restored = time.monotonic()
        api.restored.set()
        deadline = time.monotonic() + 10
        while connections() == before:
            assert time.monotonic() < deadline, "no sign-in before the first request"
            time.sleep(0.02)
        query = "&".join(f"label={label.replace(' ', '+')}" for label in LABELS)
        report = api.invoke(
            http_api("POST", "/classify", query=query, body=encoded(drawn()), kind="image/png", encode=True)
        )
        health = api.invoke(http_api("GET", "/health", query="details", encode=False)).body
        seconds = time.monotonic() - restored
    assert report.body["headers"]["X-Label-Cache"] == "precomputed=0, memory=0, store=3, computed=0"
    assert json.loads(health["body"])["instance"]["seconds"] < seconds, "what made the snapshot was another process"
