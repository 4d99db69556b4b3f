"""Whatever bytes a client sends, and however it behaves, the server answers or refuses it and goes on."""

from __future__ import annotations

import re
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from moderator.handler import build_handler
from moderator.settings import Settings
from moderator.web.connection import MOST_BODY_BYTES, Patience
from support.harness import serving
from support.raw_http import HOST, exchange, read_reply
from support.server_process import ServerProcess, server_process
from support.tally import Tally

pytestmark = pytest.mark.slow

POST = b"POST /classify HTTP/1.1\r\n" + HOST

# What is sent, the status, and words of the reason.
REFUSED = {
    "Two different Content-Lengths": (
        POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", 400, "Conflicting Content-Length",
    ),
    "Two different Content-Lengths in one line": (
        POST + b"Content-Length: 5, 6\r\n\r\nhello!", 400, "Conflicting Content-Length",
    ),
    "Content-Length and chunks": (
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "exclude each other",
    ),
    "A space before a header's colon": (
        POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400, "Illegal header line",
    ),
    "Another Transfer-Encoding": (POST + b"Transfer-Encoding: gzip\r\n\r\n", 400, "Only Transfer-Encoding: chunked"),
    "A Content-Length of 5,000 digits": (
        POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nhello", 400, "Bad Content-Length",
    ),
    "A negative Content-Length": (POST + b"Content-Length: -1\r\n\r\n", 400, "Bad Content-Length"),
    "A Content-Length in other digits": (
        POST + b"Content-Length: \xd9\xa5\r\n\r\nhello", 400, "Bad Content-Length",
    ),
    "A Content-Length above what is read": (
        POST + b"Content-Length: 20000000\r\n\r\nhello", 413, "20,000,000 bytes: at most 10,485,760",
    ),
    "More in chunks than is read": (
        POST + b"Transfer-Encoding: chunked\r\n\r\n" + (b"100000\r\n" + bytes(1 << 20) + b"\r\n") * 11, 413, "4.5 MB",
    ),
    "A chunk whose length is no number": (
        POST + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n", 400, "Illegal chunk header",
    ),
    "A target that is no URL": (b"GET http://[ HTTP/1.1\r\n" + HOST + b"\r\n", 400, "not a URL"),
    "A target without a slash": (b"GET health HTTP/1.1\r\n" + HOST + b"\r\n", 400, "begins with a slash"),
    "A target with a space": (b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n", 400, "Illegal request line"),
    "No Host": (b"GET /health HTTP/1.1\r\n\r\n", 400, "Missing mandatory Host"),
    "A header of 200,000 bytes": (
        b"GET /health HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 200_000 + b"\r\n\r\n", 431, "65,536 bytes",
    ),
    "Headers of 70,000 bytes, which may come at once": (
        b"GET /health HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 70_000 + b"\r\n\r\n", 431, "65,536 bytes",
    ),
    "A first line of 70,000 bytes": (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 431, "65,536"),
    "A first line of 200,000 bytes": (b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n", 431, "65,536 bytes"),
    "A header in two lines, the first empty": (b"GET /health HTTP/1.1\r\n X: 1\r\n\r\n", 400, ""),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "https://"),
    "HTTP/2 without being asked": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "begins with a slash"),
    "HTTP/0.9": (b"GET /health\r\n\r\n", 400, "Illegal request line"),
    "Bytes of no kind": (bytes(range(1, 256)), 400, "Illegal request line"),
    "A proxy's CONNECT": (b"CONNECT example.org:443 HTTP/1.1\r\n" + HOST + b"\r\n", 400, "begins with a slash"),
}  # fmt: skip

# The client closes its own side after these.
CUT_SHORT = {
    "A body cut short": (POST + b"Content-Length: 50\r\n\r\nhello", "received 5 bytes, expected 50"),
    "Chunks cut short": (POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel", "incomplete chunked read"),
    "Headers cut short": (POST + b"Content-Le", "unexpectedly closed"),
    "A first line cut short": (b"GET /hea", "within its first line"),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with server_process(tmp_path_factory.mktemp("odd"), {"LOG_LABELS": "true"}) as running:
        yield running
        assert "Traceback" not in running.log
        assert "Warning" not in running.log


def assert_goes_on(server: ServerProcess) -> None:
    assert server.service.get("/health").status == 200


def assert_logged(server: ServerProcess, *words: str) -> None:
    """The last line of the log holds these; it is written a moment after the answer."""
    for _ in range(100):
        last = server.log.splitlines()[-1]
        if all(word in last for word in words):
            return
        time.sleep(0.02)
    raise AssertionError(last)


@pytest.mark.parametrize("tried", REFUSED)
def test_what_is_no_sound_request_is_refused_with_the_reason(tried: str, server: ServerProcess, tally: Tally) -> None:
    data, status, words = REFUSED[tried]
    reply = exchange(server.service.port, data)
    assert reply.status == status, reply
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["connection"] == "close"
    assert words in reply.json["detail"]
    assert_logged(server, f" {status} ", reply.json["detail"])
    assert_goes_on(server)
    tally.add("Server", tried, f"refused with {reply.status}")


@pytest.mark.parametrize("tried", CUT_SHORT)
def test_what_is_cut_short_is_refused(tried: str, server: ServerProcess, tally: Tally) -> None:
    data, words = CUT_SHORT[tried]
    reply = exchange(server.service.port, data, half_close=True)
    assert reply.status == 400
    assert words in reply.json["detail"]
    assert_goes_on(server)
    tally.add("Server", tried, "refused with 400")


def test_a_refusal_does_not_repeat_a_header(server: ServerProcess) -> None:
    data = b"GET /health HTTP/1.1\r\n" + HOST + b"Authorization : Bearer zyxsecret\r\n\r\n"
    assert b"zyxsecret" not in exchange(server.service.port, data).body
    assert "zyxsecret" not in server.log


def test_a_client_that_closes_its_own_side_is_answered(server: ServerProcess, tally: Tally) -> None:
    reply = exchange(server.service.port, b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n", half_close=True)
    assert reply.status == 200
    tally.add("Server", "A sound request whose client closes its own side", "answered")


def test_requests_sent_without_waiting_are_answered_in_order(server: ServerProcess, tally: Tally) -> None:
    targets = [b"/health", b"/nothing", b"/label-sets"]
    requests = [b"GET " + target + b" HTTP/1.1\r\n" + HOST for target in targets]
    with socket.create_connection(("127.0.0.1", server.service.port), timeout=60) as client:
        client.sendall(b"\r\n".join(requests) + b"Connection: close\r\n\r\n")
        answered = b"".join(iter(lambda: client.recv(65536), b""))
    assert re.findall(rb"HTTP/1.1 (\d+)", answered) == [b"200", b"404", b"200"]
    assert answered.index(b'"store"') < answered.index(b"No such route") < answered.index(b'"label_sets"')
    tally.add("Server", "Three requests sent at once", "answered in order")


def test_clients_that_leave_cost_one_line_each(server: ServerProcess, tally: Tally) -> None:
    times = 100
    before = len(server.log.splitlines())
    for turn in range(times):
        with socket.create_connection(("127.0.0.1", server.service.port), timeout=60) as client:
            client.sendall(POST + b"Content-Length: 5\r\n\r\n" + b"hello"[: turn % 6])
            # Closing sends a reset, so that reading and writing fail.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert_goes_on(server)
    lines = server.log.splitlines()[before:]
    assert len(lines) <= times + 1
    assert all(line.startswith(("POST /classify", "GET /health")) for line in lines), lines
    tally.add("Server", "A client resets its connection", "at most one line in the log", times)


def test_clients_that_trickle_are_sent_away_and_keep_nobody_waiting(tally: Tally) -> None:
    patience = Patience(idle=0.5, head=0.5, body=0.5)
    lines: list[str] = []
    parts = [b"GET /hea", b"GET /health HTTP/1.1\r\nX: ", POST + b"Content-Length: 9\r\n\r\nhel"]
    with serving(build_handler(Settings()), patience=patience, log=lines.append) as service:
        clients = [socket.create_connection(("127.0.0.1", service.port), timeout=60) for _ in range(60)]
        for place, client in enumerate(clients):
            client.sendall(parts[place % 3])
        began = time.monotonic()
        assert service.get("/health").status == 200
        assert time.monotonic() - began < 0.4
        for client in clients:
            assert read_reply(client).status == 408
            assert client.recv(1) == b""
            client.close()
        silent = socket.create_connection(("127.0.0.1", service.port), timeout=60)
        assert silent.recv(1) == b""
        silent.close()
    assert sum(" 408 " in line for line in lines) == 60
    assert len(lines) == 61
    tally.add("Server", "A client begins a request and does not end it", "refused with 408", 60)
    tally.add("Server", "A client connects and says nothing", "the connection is closed")


def hold_many(port: int, count: int) -> list[socket.socket]:
    held = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(count)]
    for client in held:
        client.sendall(b"GET / HT")
    return held


def test_with_few_file_descriptors_those_connected_are_served_and_the_others_wait(tmp_path: Path, tally: Tally) -> None:
    ask = b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n"
    with server_process(tmp_path, {}, most_files=64) as server:
        port = server.service.port
        with socket.create_connection(("127.0.0.1", port), timeout=60) as first:
            first.sendall(ask)
            assert read_reply(first).status == 200
            held = hold_many(port, 90)
            waiting = socket.create_connection(("127.0.0.1", port), timeout=60)
            waiting.sendall(ask)
            time.sleep(0.5)
            assert server.open_files < 64 - 8  # what a request itself opens fits in
            for _ in range(20):
                first.sendall(ask)
                assert read_reply(first).status == 200
            for client in held:
                client.close()
            assert read_reply(waiting).status == 200
            waiting.close()
        assert "Traceback" not in server.log
    tally.add("Server", "90 connections that say little, with 64 file descriptors", "those connected are served", 20)


def test_where_accepting_fails_those_connected_are_served_and_nothing_spins(tmp_path: Path, tally: Tally) -> None:
    resource = pytest.importorskip("resource", reason="limits of file descriptors are Unix'")
    ask = b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n"
    with server_process(tmp_path, {}) as server:
        port, number = server.service.port, server.process.pid
        with socket.create_connection(("127.0.0.1", port), timeout=60) as first:
            first.sendall(ask)
            assert read_reply(first).status == 200
            before = resource.prlimit(number, resource.RLIMIT_NOFILE)
            resource.prlimit(number, resource.RLIMIT_NOFILE, (server.open_files, before[1]))
            held = hold_many(port, 5)
            used = cpu_seconds(number)
            for _ in range(20):
                first.sendall(ask)
                assert read_reply(first).status == 200
                time.sleep(0.05)
            assert cpu_seconds(number) - used < 0.5
            resource.prlimit(number, resource.RLIMIT_NOFILE, before)
            for client in held:
                client.close()
            assert_goes_on(server)
        assert len(server.log.splitlines()) < 50
        assert "Traceback" not in server.log
    tally.add("Server", "No file descriptor is left for another connection", "those connected are served", 20)


def cpu_seconds(number: int) -> float:
    fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_the_largest_body_is_read(server: ServerProcess, tally: Tally) -> None:
    head = POST + b"Content-Type: image/png\r\nContent-Length: %d\r\n\r\n" % MOST_BODY_BYTES
    reply = exchange(server.service.port, head + bytes(MOST_BODY_BYTES))
    assert reply.status in (413, 415, 422)
    assert reply.headers.get("connection") is None  # it was read, and refused by the service
    tally.add("Server", "A body of 10 MB", "read, and judged by the service")
