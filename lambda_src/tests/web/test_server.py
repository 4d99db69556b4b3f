"""The local server: what a developer, a browser and a small user ask of it."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from moderator.errors import ConfigurationError
from moderator.handler import Handler, build_handler
from moderator.settings import Settings, read_settings
from moderator.web.cors import Cors, read_cors
from support.harness import LAMBDA_SRC, Reply, Service, serving
from support.pictures import as_base64, drawn, encoded
from support.raw_http import HOST, exchange
from support.server_process import server_process

pytestmark = pytest.mark.slow

PICTURE = encoded(drawn("red", "circle"))
READS = ["/health", "/label-sets", "/openapi.json", "/docs"]


class Slow:
    """The real handler, whose classifications end only when they may."""

    def __init__(self) -> None:
        self._handler = build_handler(Settings())
        self.may_end = threading.Event()
        self.begun = threading.Semaphore(0)
        self.at_once: list[int] = []
        self._running = 0

    def __call__(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        if event["requestContext"]["http"]["method"] != "POST":
            return self._handler(event, context)
        self._running += 1
        self.at_once.append(self._running)
        self.begun.release()
        assert self.may_end.wait(60)
        self._running -= 1
        return self._handler(event, context)


def ask(service: Service, method: str, path: str, **headers: str) -> Reply:
    return service.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})


class TestBesideALongRequest:
    def test_what_only_reads_is_answered_and_classifications_wait_for_their_turn(self) -> None:
        handler = Slow()
        with serving(handler) as service, ThreadPoolExecutor() as clients:
            try:
                long = [clients.submit(service.post_picture, PICTURE, "label=a&label=b") for _ in range(3)]
                assert handler.begun.acquire(timeout=60)
                for path in READS:
                    assert service.get(path).status == 200
                    assert ask(service, "HEAD", path).status == 200
                assert service.get("/nothing").status == 404
                assert not any(answer.done() for answer in long)
            finally:
                handler.may_end.set()
            assert [answer.result().status for answer in long] == [200, 200, 200]
        assert handler.at_once == [1, 1, 1]

    def test_answers_do_not_mix(self, service: Service) -> None:
        pictures = {colour: encoded(drawn(colour, "circle")) for colour in ("red", "blue", "green")}
        query = "&".join(f"label=a+{colour}+circle" for colour in pictures)

        def classify(colour: str) -> None:
            result = service.post_picture(pictures[colour], query).json["result"]
            assert max(result, key=result.__getitem__) == f"a {colour} circle"

        def read(path: str) -> None:
            assert service.get(path).status == (404 if path == "/nothing" else 200)

        with ThreadPoolExecutor(8) as clients:
            for _ in range(20):
                running = [clients.submit(classify, colour) for colour in pictures]
                running += [clients.submit(read, path) for path in (*READS, "/nothing")]
                for done in running:
                    done.result()


class TestMethodsAndPaths:
    def test_a_browser_finds_the_page_at_the_root(self, service: Service) -> None:
        reply = service.get("/")
        assert reply.status == 200
        assert reply.headers["content-type"].startswith("text/html")

    @pytest.mark.parametrize("path", READS)
    def test_head_answers_as_get_does_without_a_body(self, path: str, service: Service) -> None:
        whole = service.get(path)
        with socket.create_connection(("127.0.0.1", service.port), timeout=60) as client:
            client.sendall(b"HEAD " + path.encode() + b" HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
            head, _, body = b"".join(iter(lambda: client.recv(65536), b"")).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK")
        assert b"Content-Length: %d" % len(whole.body) in head
        assert body == b""

    @pytest.mark.parametrize(
        ("path", "allowed"),
        [("/classify", {"POST", "OPTIONS"}), ("/health", {"GET", "HEAD", "OPTIONS"})],
    )
    def test_options_names_the_methods(self, path: str, allowed: set[str], service: Service) -> None:
        reply = ask(service, "OPTIONS", path)
        assert (reply.status, reply.body) == (204, b"")
        assert set(reply.headers["allow"].split(", ")) == allowed
        assert ask(service, "OPTIONS", "/nothing").status == 404

    def test_a_slash_too_many_at_the_end_does_no_harm(self, service: Service) -> None:
        assert service.post_picture(PICTURE, "label=a&label=b").json["result"]
        assert service.request("POST", "/classify/?label=a&label=b", PICTURE, {"Content-Type": "image/png"}).json[
            "result"
        ]
        assert service.get("/health/").status == 200
        assert service.get("//health").status == 404

    def test_a_whole_url_is_a_target(self, service: Service) -> None:
        assert exchange(service.port, b"GET http://x/health HTTP/1.1\r\n" + HOST + b"\r\n").status == 200

    def test_letters_that_are_not_escaped_are_kept(self, service: Service) -> None:
        head = "POST /classify?label=ein+Bär&label=b HTTP/1.1\r\nContent-Type: image/png\r\n".encode()
        reply = exchange(service.port, head + HOST + b"Content-Length: %d\r\n\r\n" % len(PICTURE) + PICTURE)
        assert list(reply.json["result"]) == ["ein Bär", "b"]

    @pytest.mark.parametrize("size", [1, 1000, 100_000])
    def test_a_body_in_chunks_is_read(self, size: int, service: Service) -> None:
        body = json.dumps({"image_data": as_base64(PICTURE), "labels": ["a red circle", "b"]}).encode()
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
        chunks = (body[start : start + size] for start in range(0, len(body), size))
        connection.request("POST", "/classify", chunks, {"Content-Type": "application/json"}, encode_chunked=True)
        answer = connection.getresponse()
        assert answer.status == 200
        assert json.loads(answer.read())["result"].keys() == {"a red circle", "b"}
        connection.close()

    def test_curl_sends_large_bodies_after_being_told_to_go_on(self, service: Service, tmp_path: Path) -> None:
        (tmp_path / "body").write_bytes(PICTURE + bytes(3_000_000))
        (tmp_path / "too large").write_bytes(bytes(30_000_000))
        answers = [
            subprocess.run(
                ["curl", "-s", "-w", "%{http_code} %{size_upload}", "-o", "/dev/null", "-H", "Content-Type: image/png",
                 "-H", "Expect: 100-continue", "--expect100-timeout", "30",
                 "--data-binary", f"@{tmp_path / name}", f"http://127.0.0.1:{service.port}/classify?label=a&label=b"],
                capture_output=True, check=True, text=True,
            ).stdout.split()
            for name in ("body", "too large")
        ]  # fmt: skip
        assert answers[0] == ["200", str(3_000_000 + len(PICTURE))]
        assert answers[1] == ["413", "0"]


class TestCors:
    @pytest.mark.parametrize(
        "origin",
        [
            "http://localhost:5173",
            "https://localhost",
            "http://127.0.0.1:8000",
            "http://[::1]:3000",
            "http://app.localhost",
        ],
    )
    def test_pages_of_this_machine_may_ask_by_default(self, origin: str, service: Service) -> None:
        reply = ask(service, "GET", "/health", Origin=origin)
        assert reply.headers["access-control-allow-origin"] == origin
        assert "X-Label-Cache" in reply.headers["access-control-expose-headers"]
        assert reply.headers["vary"] == "Origin"

    @pytest.mark.parametrize(
        "origin",
        [
            "https://example.org",
            "null",
            "http://localhost.example.org",
            "http://notlocalhost",
            "http://[",
            "ftp://localhost",
        ],
    )
    def test_other_pages_may_not(self, origin: str, service: Service) -> None:
        for reply in (
            ask(service, "GET", "/health", Origin=origin),
            ask(service, "OPTIONS", "/classify", Origin=origin, Access_Control_Request_Method="POST"),
        ):
            assert not [name for name in reply.headers if name.startswith("access-control")]

    def test_a_browser_that_asks_first_is_told_what_it_may_send(self, service: Service) -> None:
        reply = ask(
            service,
            "OPTIONS",
            "/classify",
            Origin="http://localhost:5173",
            Access_Control_Request_Method="POST",
            Access_Control_Request_Headers="content-type,x-own",
        )
        assert (reply.status, reply.body) == (204, b"")
        assert reply.headers["access-control-allow-origin"] == "http://localhost:5173"
        assert "POST" in reply.headers["access-control-allow-methods"]
        assert reply.headers["access-control-allow-headers"] == "content-type,x-own"

    def test_refusals_can_be_read_by_the_page_too(self, service: Service) -> None:
        reply = service.request("POST", "/classify", b"{", {"Origin": "http://localhost", "Content-Type": "text/json"})
        assert reply.status >= 400
        assert reply.headers["access-control-allow-origin"] == "http://localhost"

    def test_the_setting(self) -> None:
        assert read_cors("localhost") == Cors(localhost=True)
        assert read_cors("*").headers({"origin": "null"})["Access-Control-Allow-Origin"] == "*"
        one = read_cors("https://a.example, http://b.example:8000")
        assert (
            one.headers({"origin": "http://b.example:8000"})["Access-Control-Allow-Origin"] == "http://b.example:8000"
        )
        assert one.headers({"origin": "http://localhost"}) == {"Vary": "Origin"}
        assert read_cors("") == Cors()

    @pytest.mark.parametrize(
        "text", ["example.org", "https://example.org/", "https://*.example.org", "https://", "null"]
    )
    def test_what_is_no_origin_is_refused(self, text: str) -> None:
        with pytest.raises(ConfigurationError, match="CORS_ORIGINS"):
            read_cors(text)


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Lines of a server that was asked more often than Powertools keeps metrics for."""
    with server_process(tmp_path_factory.mktemp("log"), {}) as server:
        for _ in range(120):
            assert server.service.post_picture(PICTURE, "label=zyxword&label=b").status == 200
        server.service.classify(image_data="!", labels=["zyxword"])
        server.service.get("/nothing?label=zyxword")
        server.service.request("PUT", "/health")
        # A line is written a moment after its answer.
        wait_until(lambda: "PUT /health" in server.log)
        return server.log.splitlines()


def wait_until(holds: Callable[[], bool]) -> None:
    for _ in range(500):
        if holds():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen within 5 s")


class TestLog:
    def test_each_request_has_one_short_line_and_nothing_else_is_written(self, lines: list[str]) -> None:
        asked = [line for line in lines if re.match(r"(GET|POST|PUT) ", line)]
        assert sum(line.startswith("POST /classify 200 ") for line in asked) == 120
        assert all(re.fullmatch(r"\S+ \S+ \d{3} \d+ ms(  .+)?", line) for line in asked)
        assert max(map(len, asked)) < 120
        greeting = "\n".join(line for line in lines if line not in asked and not line.startswith("GET /label-sets"))
        assert greeting.startswith("Serving demo-shapes on http://127.0.0.1:") or "Serving demo_model" in greeting
        assert "{" not in greeting.partition("Or as JSON")[0]
        assert "Warning" not in greeting
        assert "_aws" not in greeting

    def test_refusals_say_why(self, lines: list[str]) -> None:
        text = "\n".join(lines)
        assert re.search(r"POST /classify 400 \d+ ms  The request cannot be read", text)
        assert re.search(r"GET /nothing 404 \d+ ms  No such route", text)
        assert re.search(r"PUT /health 405 \d+ ms  The route does not take this method", text)

    def test_clients_words_are_not_among_them_unless_asked_for(self, lines: list[str]) -> None:
        assert not [line for line in lines if "zyxword" in line]

    def test_the_whole_reason_where_labels_may_be_logged(self) -> None:
        lines: list[str] = []
        with serving(build_handler(Settings()), log_details=True, log=lines.append) as service:
            detail = service.classify(image_data=as_base64(PICTURE), labels=["a\x1b[31m\n", "a\x1b[31m\n"]).json[
                "detail"
            ]
            wait_until(lambda: bool(lines))
        assert detail.startswith("labels")
        assert lines[0].isprintable()
        assert re.match(r"POST /classify 422 \d+ ms  labels", lines[0])

    def test_each_line_is_short_even_with_the_whole_reason(self) -> None:
        lines: list[str] = []
        with serving(build_handler(Settings()), log_details=True, log=lines.append) as service:
            service.get("/nothing")
            service.get(f"/{'x' * 50_000}")
            service.request("POST", "/v1/moderations", '{"input": "a text"}', {"Content-Type": "application/json"})
            wait_until(lambda: len(lines) == 3)
        assert max(map(len, lines)) < 300
        assert "Text is not judged here" in lines[2], "a refusal in another service's form has its reason too"

    def test_a_bug_is_a_500_and_the_server_goes_on(self, caplog: pytest.LogCaptureFixture) -> None:
        def fail(event: dict[str, Any], context: Any) -> dict[str, Any]:
            raise ZeroDivisionError(event["rawPath"], context.function_name)

        handler: Handler = fail
        with serving(handler) as service:
            for _ in range(2):
                reply = service.get("/health")
                assert (reply.status, reply.json["title"]) == (500, "Internal Server Error")
                assert b"ZeroDivision" not in reply.body
        assert "ZeroDivisionError" in caplog.text


def start(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Start a server that cannot start."""
    return subprocess.run(
        [sys.executable, "-m", "moderator.web.server", *arguments],
        env=os.environ | {"PYTHONPATH": str(LAMBDA_SRC)} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class TestStart:
    @pytest.mark.parametrize(
        ("arguments", "environment", "words"),
        [
            (["--port", "99999"], {}, "PORT is '99999': it must be a whole number from 0 to 65535."),
            (["--port", "http"], {}, "PORT is 'http'"),
            (["--port", "-1"], {}, "PORT is '-1'"),
            (["--port", "0", "--host", "nowhere.invalid"], {}, "HOST is 'nowhere.invalid', which is not an address"),
            (["--port", "0", "--host", "192.0.2.1"], {}, "of 192.0.2.1 cannot be used"),
            (["--port", "0", "--cors-origins", "example.org"], {}, "CORS_ORIGINS names 'example.org'"),
            (["--port", "0"], {"CACHE_URL": "redis://localhost:99999"}, "CACHE_URL's port must be"),
        ],
    )
    def test_what_cannot_be_is_said_in_one_sentence(
        self, arguments: list[str], environment: dict[str, str], words: str
    ) -> None:
        done = start(*arguments, **environment)
        assert done.returncode == 1
        assert words in done.stderr
        assert done.stderr.count("\n") == 1

    def test_a_port_that_is_taken(self, service: Service) -> None:
        done = start("--port", str(service.port))
        assert "choose another with PORT=" in done.stderr
        assert done.stderr.count("\n") == 1

    @pytest.mark.parametrize("host", ["::1", "[::1]", "::", "localhost"])
    def test_any_address_can_be_served(self, host: str, tmp_path: Path) -> None:
        if ":" in host and not _has_ipv6():
            pytest.skip("this machine has no IPv6")
        log = tmp_path / "log"
        with (
            log.open("wb") as out,
            subprocess.Popen(
                [sys.executable, "-m", "moderator.web.server", "--port", "0", "--host", host],
                env=os.environ | {"PYTHONPATH": str(LAMBDA_SRC), "PYTHONUNBUFFERED": "1"},
                stdout=subprocess.PIPE,
                stderr=out,
                text=True,
            ) as process,
        ):
            try:
                assert process.stdout is not None
                url = re.search(r"on (http://\S+:\d+)", process.stdout.readline())
                assert url, log.read_text()
                hosts = [url[1]] + ([url[1].replace("[::1]", "127.0.0.1")] if host == "::" else [])
                for one in hosts:
                    answer = subprocess.run(["curl", "-sfg", f"{one}/health"], capture_output=True, check=True)
                    assert json.loads(answer.stdout)["status"] == "ok"
            finally:
                process.terminate()
            assert process.wait(10) == 0  # what `docker stop` asks for

    def test_the_greeting_tells_the_size_of_a_request_here_and_deployed(self, tmp_path: Path) -> None:
        with server_process(tmp_path, {}) as server:
            assert "A request may have 10 MB here." in server.log
            assert "about 4.5 MB" in server.log
            assert "knows coloured shapes only" in server.log


@pytest.mark.parametrize("url", ["redis://localhost:99999", "redis://localhost:0", "rediss://localhost:port"])
def test_a_store_whose_port_cannot_be_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="from 1 to 65535"):
        read_settings({"CACHE_URL": url})


def test_a_store_without_a_port_or_with_one_is_taken() -> None:
    for url in ("redis://localhost", "rediss://user:pass@[::1]:6380/0"):
        assert read_settings({"CACHE_URL": url}).cache_url == url


def test_the_lambda_does_not_load_the_server() -> None:
    program = "import sys, moderator.handler; sys.exit(' '.join({'h11', 'moderator.web.server'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(LAMBDA_SRC)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.strip()) == (1, "")


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True
