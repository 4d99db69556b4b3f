"""Our own client for Python, against the running service, and against one that is busy, broken or not there."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import clip_moderator_client as ours
from clip_moderator_client import Client, Refused, Sigv4, Token, Unavailable, Verdict
from support.client_pictures import ALLOWED, BLOCKED, BROKEN, NO_PICTURE, REVIEWED
from support.harness import LAMBDA_SRC, Service, free_port
from support.policies import content

from .test_rekognition import KEY, SECRET, computed_again, recorded, scope, signature

pytestmark = pytest.mark.slow

__all__ = ["recorded"]  # a fixture

FOLDER = LAMBDA_SRC.parent / "clients" / "python"


def client_of(service: Service, **options: Any) -> Client:
    return Client(f"http://127.0.0.1:{service.port}", **options)


@pytest.fixture
def client(demo: Service) -> Iterator[Client]:
    with client_of(demo) as made:
        yield made


class Busy:
    """A server that gives the answers it is told, one after the other, and keeps the requests."""

    def __init__(self, answers: list[tuple[int, dict[str, str], bytes]]) -> None:
        self.answers = answers
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.port = 0

    @contextmanager
    def running(self) -> Iterator[Client]:
        busy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                busy.requests.append(({name.lower(): value for name, value in self.headers.items()}, body))
                status, headers, answer = busy.answers.pop(0)
                self.send_response(status)
                for name, value in (headers | {"Content-Length": str(len(answer))}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:
                """Stay silent."""

        with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
            thread.start()
            try:
                self.waits: list[float] = []
                with Client(f"http://127.0.0.1:{server.server_port}", wait=self.waits.append) as client:
                    yield client
            finally:
                server.shutdown()
                thread.join()


def answered(*actions: str) -> tuple[int, dict[str, str], bytes]:
    results = [{"verdict": action, "reasons": [], "categories": {}} for action in actions]
    body = {"verdict": "allow", "results": results, "policy": {"name": "demo", "version": "12345678"}}
    return 200, {}, json.dumps(body).encode()


class TestAnswers:
    def test_a_verdict_has_types(self, client: Client) -> None:
        verdict = client.moderate(BLOCKED, policy="demo")
        assert verdict.action == "block"
        (reason,) = verdict.reasons
        assert reason.category == "red circles"
        assert reason.score is not None
        assert reason.score > 0.99
        assert reason.threshold == 0.5
        assert verdict.categories["blue squares"].action == "allow"
        assert (verdict.policy, len(verdict.version)) == ("demo", 8)
        assert verdict.raw["verdict"] == "block"

    def test_a_picture_may_be_a_path_and_a_policy_an_object(self, client: Client, tmp_path: Path) -> None:
        path = tmp_path / "picture.png"
        path.write_bytes(ALLOWED)
        assert client.moderate(path, policy="demo").action == "allow"
        assert client.moderate(str(path), policy=content(), view="center").policy is None

    def test_many_pictures_are_answered_in_order_and_a_broken_one_spoils_no_other(self, client: Client) -> None:
        pictures = [ALLOWED, BLOCKED, BROKEN, REVIEWED] * 9
        found = list(client.moderate_all(iter(pictures), policy="demo"))
        assert [one.action if isinstance(one, Verdict) else one.status for one in found] == [
            "allow", "block", 422, "review",
        ] * 9  # fmt: skip

    def test_no_pictures_need_no_request(self) -> None:
        with Client(f"http://127.0.0.1:{free_port()}") as client:
            assert list(client.moderate_all([], policy="demo")) == []

    def test_a_request_holds_no_more_than_it_may(self) -> None:
        large = bytes(1_200_000)
        busy = Busy([answered("allow", "allow"), answered("allow"), answered(*["allow"] * 16), answered("allow")])
        with busy.running() as client:
            assert len(list(client.moderate_all([large] * 3, policy="demo"))) == 3
            assert len(list(client.moderate_all([b"x"] * 17, policy="demo"))) == 17
        sizes = [len(json.loads(body)["images"]) for _, body in busy.requests]
        assert sizes == [2, 1, 16, 1]
        # Base64 twice, as a Lambda's event has it, in 6 MB.
        assert max(len(body) for _, body in busy.requests) * 4 / 3 < 6_000_000

    def test_probabilities_have_types(self, client: Client) -> None:
        found = client.classify(BLOCKED, ["a red circle", "a blue square"])
        assert found.best == "a red circle"
        assert found.categories is None
        by_category = client.classify(BLOCKED, {"a red circle": "round", "a blue square": "angular"})
        assert by_category.categories is not None
        assert by_category.categories["round"] > 0.9
        assert client.classify(BLOCKED, "demo").categories is not None
        assert client.health()["model"]["name"] == "demo-shapes"


class TestMistakes:
    def test_a_mistake_raises_at_once_with_the_services_sentence(self, client: Client) -> None:
        with pytest.raises(Refused, match="web page") as caught:
            client.moderate(NO_PICTURE, policy="demo")
        assert (caught.value.status, caught.value.title) == (415, "Not a picture that can be read")
        with pytest.raises(Refused, match="nothing"):
            client.moderate(ALLOWED, policy="nothing")

    def test_a_gateways_refusal_is_read_too(self) -> None:
        busy = Busy([(403, {}, b'{"message":"Forbidden"}'), (413, {}, b"<html>")])
        with busy.running() as client:
            with pytest.raises(Refused, match="Forbidden"):
                client.moderate(ALLOWED, policy="demo")
            with pytest.raises(Refused, match="413"):
                client.moderate(ALLOWED, policy="demo")
        assert len(busy.requests) == 2
        assert busy.waits == []

    @pytest.mark.parametrize(
        ("status", "body"),
        [
            (401, b'{"message":"Unauthorized"}'),
            (403, b'{"message":"Forbidden"}'),
            (403, b"[]"),
            (404, b'"x"'),
            (422, b'{"title":"A field is not valid","detail":"policy \'x\' is not configured"}'),
        ],
    )
    def test_a_mistake_of_the_whole_request_is_not_asked_again_for_each_picture(self, status: int, body: bytes) -> None:
        busy = Busy([(status, {}, body)])
        with busy.running() as client, pytest.raises(Refused) as caught:
            list(client.moderate_all([ALLOWED] * 12, policy="x"))
        assert caught.value.status == status
        assert len(busy.requests) == 1

    @pytest.mark.parametrize("url", ["nonsense", "moderator.example.org", "ftp://example.org", ""])
    def test_an_address_that_is_none_is_named_at_once(self, url: str) -> None:
        with pytest.raises(ValueError, match="it must begin with https://"):
            Client(url)


class TestAskingAgain:
    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
    def test_what_passes_is_asked_again_after_a_wait_that_grows_and_is_drawn(self, status: int) -> None:
        busy = Busy([(status, {}, b"{}"), (status, {}, b"{}"), answered("block")])
        with busy.running() as client:
            assert client.moderate(ALLOWED, policy="demo").action == "block"
        first, second = busy.waits
        assert 0 <= first <= 0.5
        assert 0 <= second <= 1
        assert len({body for _, body in busy.requests}) == 1

    @pytest.mark.parametrize("named", ["7", "Fri, 31 Dec 2100 23:59:59 GMT"])
    def test_the_wait_that_the_service_names_is_kept(self, named: str) -> None:
        busy = Busy([(503, {"Retry-After": named}, b"{}"), answered("allow")])
        with busy.running() as client:
            client.moderate(ALLOWED, policy="demo")
        (wait,) = busy.waits
        least = 7 if named == "7" else 20  # no date makes it wait for longer
        assert least <= wait <= least + 0.5

    def test_it_gives_up_and_never_says_allow(self) -> None:
        busy = Busy([(503, {"Retry-After": "soon"}, b"")] * 4)
        with busy.running() as client, pytest.raises(Unavailable, match="asked 4 times: status 503"):
            client.moderate(ALLOWED, policy="demo")
        assert len(busy.waits) == 3

    def test_a_service_that_is_not_there_is_unavailable(self) -> None:
        waits: list[float] = []
        with (
            Client(f"http://127.0.0.1:{free_port()}", attempts=3, wait=waits.append) as client,
            pytest.raises(Unavailable, match="ConnectError"),
        ):
            client.moderate(ALLOWED, policy="demo")
        assert len(waits) == 2

    def test_a_bug_of_the_service_is_unavailable(self, failing: Service) -> None:
        with client_of(failing, attempts=1) as client, pytest.raises(Unavailable, match="500"):
            client.moderate(ALLOWED, policy="demo")

    @pytest.mark.parametrize(
        "answer",
        [
            (200, {}, b"<html>"),
            answered(),
            (200, {}, b"[]"),
            (200, {}, b"{}"),
            (200, {}, b'{"results": 3, "policy": {}}'),
            (200, {}, b'{"results": [3], "policy": {}}'),
        ],
        ids=["a page", "too few verdicts", "a list", "an empty object", "a number", "a list of numbers"],
    )
    def test_an_answer_that_is_none_is_unavailable(self, answer: tuple[int, dict[str, str], bytes]) -> None:
        with Busy([answer]).running() as client, pytest.raises(Unavailable):
            client.moderate(ALLOWED, policy="demo")

    def test_a_newer_services_fields_are_not_in_the_way(self) -> None:
        status, headers, body = answered("block")
        answer = json.loads(body)
        answer["results"][0]["reasons"] = [{"category": "c", "action": "block", "score": 1.0, "new": "field"}]
        answer["results"][0]["categories"] = {"c": {"score": 1.0, "action": "block", "new": 1}}
        with Busy([(status, headers, json.dumps(answer).encode())]).running() as client:
            verdict = client.moderate(ALLOWED, policy="demo")
        assert verdict.reasons[0].category == "c"
        assert verdict.categories["c"].score == 1.0


class TestSigningIn:
    def test_a_token_is_sent_as_a_bearer(self) -> None:
        busy = Busy([answered("allow")])
        with busy.running() as plain, Client(str(plain._http.base_url), auth=Token("secret")) as client:
            client.moderate(ALLOWED, policy="demo")
        ((headers, _),) = busy.requests
        assert headers["authorization"] == "Bearer secret"

    def test_a_signature_is_right(
        self, recorded: tuple[Service, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        monkeypatch.setenv("AWS_SESSION_TOKEN", "a-session")
        service, events = recorded
        with client_of(service, auth=Sigv4("eu-central-1")) as client:
            assert client.moderate(BLOCKED, policy="demo").action == "block"
        (event,) = events
        assert scope(event) == "eu-central-1/execute-api/aws4_request"
        assert signature(event) == computed_again(event, "execute-api")
        assert event["headers"]["x-amz-security-token"] == "a-session"


def test_pip_installs_it_from_its_folder_and_the_docs_example_runs_with_it(tmp_path: Path, demo: Service) -> None:
    # A copy, because a build leaves files; with the setuptools that is here, so that no network is needed.
    folder = shutil.copytree(FOLDER, tmp_path / "python")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"),
            *("--target", str(tmp_path / "here"), str(folder)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "here/clip_moderator_client.py").read_text() == Path(ours.__file__).read_text()
    (metadata,) = (tmp_path / "here").glob("*.dist-info/METADATA")
    assert "Requires-Dist: httpx2" in metadata.read_text()
    picture = tmp_path / "picture.png"
    picture.write_bytes(BLOCKED)
    url, example = f"http://127.0.0.1:{demo.port}", LAMBDA_SRC.parent / "docs/examples/moderate.py"
    done = subprocess.run(
        [sys.executable, str(example), str(picture)],
        env=os.environ | {"PYTHONPATH": str(tmp_path / "here"), "MODERATOR_URL": url, "MODERATOR_POLICY": "demo"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{picture}: block because of red circles")
