"""`make measure` tells of a deployed stack what is really so, and says in a sentence what keeps it from that."""

from __future__ import annotations

import http.server
import re
import statistics
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from support.cloudwatch_logs import cloudwatch_logs
from support.deployed import FUNCTION, MEMORY_MB, Deployed, deployed
from support.harness import RedisServer, free_port
from tools.measure.__main__ import main
from tools.measure.access import bearer
from tools.measure.caller import Caller, address
from tools.measure.log import parse, read
from tools.measure.outside import drawn_picture, store_use
from tools.measure.table import REKOGNITION

pytestmark = pytest.mark.slow

GROUP = f"/aws/lambda/{FUNCTION}"
KEY, SECRET = "AKIDEXAMPLE", "a-secret-key"
TOKEN = "the-right-token"


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "eu-central-1",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN", "AWS_PROFILE", "TOKEN"):
        monkeypatch.delenv(name, raising=False)


def guard(method: str, target: str, headers: Mapping[str, str], body: bytes) -> int | None:
    """Let in who signs with the right key or has the right token, as API Gateway would with both authorizers."""
    authorization = headers.get("Authorization", "")
    if authorization.startswith("Bearer "):
        return None if authorization == f"Bearer {TOKEN}" else 403
    return None if authorization == signature(method, target, headers, body) else 403


def signature(method: str, target: str, headers: Mapping[str, str], body: bytes) -> str:
    """What botocore would send in `Authorization` for what really arrived."""
    signed = {name: value for name, value in headers.items() if name in ("Host", "Content-Type")}
    request = AWSRequest(method=method, url=f"http://{headers['Host']}{target}", data=body, headers=signed)
    # Its time is the request's own, by which it is signed.
    request.context["timestamp"] = headers.get("X-Amz-Date", "")
    request.headers["X-Amz-Date"] = headers.get("X-Amz-Date", "")
    auth = SigV4Auth(Credentials(KEY, SECRET), "execute-api", "eu-central-1")
    canonical = auth.canonical_request(request)
    right = auth.signature(auth.string_to_sign(request, canonical), request)
    names = auth.signed_headers(auth.headers_to_sign(request))
    return f"AWS4-HMAC-SHA256 Credential={auth.scope(request)}, SignedHeaders={names}, Signature={right}"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("store"), free_port())
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def stack(store: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    with deployed(tmp_path_factory.mktemp("stack"), [{"CACHE_URL": store.url}] * 6, guard) as found:
        yield found


def rows(text: str) -> dict[str, str]:
    lines = [line.strip("|").split("|", 1) for line in text.splitlines() if line.startswith("|")]
    return {name.strip(): value.strip() for name, value in lines[2:]}


def test_one_table_tells_of_health_store_starts_latency_bill_memory_and_processor(
    stack: Deployed, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Signed requests, an emulated log of which half arrives late and in pages.
    with cloudwatch_logs(GROUP, stack.lines, late=1) as logs:
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", logs.url)
        assert main([stack.url, "--auth", "iam", "--function", FUNCTION, "--requests", "30", "--wait", "20"]) == 0
    said = capsys.readouterr()
    table = rows(said.out)
    assert table["healthy"].startswith("yes: demo-shapes")
    assert re.fullmatch(r"yes: another instance read the label there \(.*store=\d+\); its state is up",
                        table["label store used"])  # fmt: skip
    cold = re.search(r"median \d+ ms \((\d+) of (\d+) requests\)", table["cold start, from outside"])
    assert cold, "the first request, and those at once that found no idle instance"
    assert re.search(r"p50 [\d.]+ ms · p99 [\d.]+ ms \(30 requests\)", table["warm picture, from outside"])
    assert "median" in table["start, by the log"]
    assert len(table["all its instructions"].split()) > 5
    assert stack.url not in said.out

    # What the log tells is what the stack really took.
    reports = parse(stack.lines)
    assert [report.billed_ms for report in reports] == stack.billed_ms
    assert sum(report.start_ms is not None for report in reports) >= int(cold[1]) >= 2
    pictures = [report for report in reports if report.of_picture and report.start_ms is None]
    assert len(pictures) > 40
    assert f"({len(pictures)} invocations)" in table["billed for a warm picture"]
    assert re.fullmatch(rf"\d+ MB at most of {MEMORY_MB} MB", table["memory, by the log"])
    seconds = statistics.fmean(report.billed_ms for report in pictures) / 1000
    dollars = float(table["1000 pictures"].split()[0].removeprefix("$"))
    time_alone = 1000 * seconds * MEMORY_MB / 1024 * 0.0000133334
    assert time_alone + 0.0012 < dollars < time_alone + 0.0012 + 0.004, "time, calls, API, and some kB of log each"
    times = float(re.findall(r"([\d.]+) times as much", table["1000 pictures, Amazon Rekognition"])[0])
    assert times == pytest.approx(REKOGNITION / dollars, rel=0.05)


def test_a_token_lets_in_and_without_a_log_the_figures_are_said_to_be_an_estimate(
    stack: Deployed, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", TOKEN)
    assert main([stack.url, "--requests", "10"]) == 0
    table = rows(capsys.readouterr().out)
    assert "an estimate" in table["1000 pictures"]
    assert f"of {MEMORY_MB} MB" in table["memory"]


@pytest.mark.parametrize(
    ("variables", "arguments", "said"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "another"}, ["--auth", "iam"], "403: the credentials lack execute-api:Invoke"),
        ({"TOKEN": "a-wrong-token"}, [], "403: the API does not know this TOKEN="),
        ({}, [], "403: the API asks who calls"),
        ({}, ["--auth", "token"], "AUTH=token needs TOKEN="),
        ({}, ["--auth", "basic"], "AUTH=basic is not known: it is iam, token, jwt or none"),
        ({}, ["--auth", "jwt"], "AUTH=jwt needs TOKEN=, a token of the stack's issuer."),
        ({"TOKEN": "another"}, ["--auth", "jwt"], "the API does not know this TOKEN=, or it has expired"),
    ],
)
def test_a_refusal_says_what_it_can_mean(
    stack: Deployed,
    variables: dict[str, str],
    arguments: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert main([stack.url, *arguments]) == 2
    _one_sentence(capsys, said)


def test_a_store_that_instances_do_not_share_is_seen(
    store: RedisServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environments = [{"CACHE_URL": f"{store.url}/{number}"} for number in (1, 2)]
    with deployed(tmp_path, environments) as stack:
        assert main([stack.url, "--requests", "10"]) == 1
    assert rows(capsys.readouterr().out)["label store used"].startswith("**no**: other instances computed it again")


def test_without_a_store_and_without_a_second_instance_nothing_is_claimed(
    store: RedisServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for variables, said in (({}, "none is configured"), ({"CACHE_URL": store.url}, "not seen: one instance")):
        folder = tmp_path / str(len(variables))
        folder.mkdir()
        with deployed(folder, [variables]) as stack:
            assert main([stack.url, "--requests", "10"]) == 0
        assert rows(capsys.readouterr().out)["label store used"].startswith(said)


@pytest.fixture(params=[(404, "Not Found"), (429, "Too Many Requests"), (500, "Internal Server Error"),
                        (503, "Service Unavailable"), (200, "<html>"), (200, '{"status": "ok"}')])  # fmt: skip
def somebody_else(request: pytest.FixtureRequest) -> Iterator[tuple[str, int, str]]:
    """A server that gives the same answer to everything."""
    status, text = request.param

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Stay silent."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", status, text
        server.shutdown()
        thread.join()


def test_what_is_no_answer_of_this_service_is_said(
    somebody_else: tuple[str, int, str], capsys: pytest.CaptureFixture[str]
) -> None:
    url, status, _ = somebody_else
    assert main([url]) == 2
    words = {404: "this is not the URL of the service", 429: "throttleRate", 500: "its log says why",
             503: "concurrent executions", 200: "not as this service does"}  # fmt: skip
    _one_sentence(capsys, words[status])


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "URL=nonsense is no address"),
        ("ftp://host", "is no address"),
        (f"http://127.0.0.1:{free_port()}", "Nobody answers at 127.0.0.1"),
        ("http://nowhere.invalid", "There is no host nowhere.invalid"),
    ],
)
def test_an_address_where_nobody_is_is_said(url: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([url]) == 2
    _one_sentence(capsys, said)


def test_a_log_that_cannot_be_read_is_said_beneath_the_table(
    stack: Deployed, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", TOKEN)
    for group, lines, said in (
        ("/aws/lambda/other", stack.lines, f"There is no log group {GROUP} in eu-central-1"),
        (GROUP, [], "has no REPORT line of these minutes"),
    ):
        with cloudwatch_logs(group, lines) as logs:
            monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", logs.url)
            assert main([stack.url, "--function", FUNCTION, "--requests", "10", "--wait", "0"]) == 1
        said_here = capsys.readouterr()
        assert rows(said_here.out)["healthy"].startswith("yes")
        assert said in said_here.err
        assert "Traceback" not in said_here.err


def test_a_service_that_logs_no_picture_is_said_to_and_not_waited_for(stack: Deployed) -> None:
    """With `logLevel: WARNING` no line tells that an invocation was one of a picture's."""
    lines = [line for line in stack.lines if "classified" not in line["message"]]
    reports = len(parse(lines))
    assert reports
    began = time.monotonic()
    with pytest.MonkeyPatch.context() as patch, cloudwatch_logs(GROUP, lines) as logs:
        patch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", logs.url)
        found = read(FUNCTION, "eu-central-1", 0, reports, wait=60)
    assert time.monotonic() - began < 60, "it would wait for what never comes"
    assert "with the stack's setting logLevel above INFO the service writes none" in found.trouble


def test_every_picture_that_was_asked_about_is_waited_for(stack: Deployed) -> None:
    """Those that found the store out are in the same log."""
    caller = Caller(address(stack.url), bearer(TOKEN))
    before = sum("classified" in line["message"] for line in stack.lines)
    use = store_use(caller, drawn_picture(), "up")
    caller.close()
    assert use.pictures > 1
    assert sum("classified" in line["message"] for line in stack.lines) - before == use.pictures


def test_lambdas_own_lines_are_read_in_each_form() -> None:
    plain = (
        "REPORT RequestId: a\tDuration: 12.34 ms\tBilled Duration: 13 ms\t"
        "Memory Size: 1769 MB\tMax Memory Used: 250 MB\t\n"
    )
    cold = plain.replace("\t\n", "\tInit Duration: 1100.10 ms\t\nXRAY TraceId: 1-5e\tSegmentId: 2f\tSampled: true\t\n")
    restored = plain.replace("\t\n", "\tRestore Duration: 310.5 ms\tBilled Restore Duration: 4 ms\t\n")
    picture = '{"level":"INFO","message":"classified","ms":1.2}\n'
    events = [
        ("one", "START a"),
        ("two", "START b"),
        ("one", picture),
        ("two", cold),
        ("one", plain),
        ("one", restored),
    ]
    found = parse({"logStreamName": stream, "message": message} for stream, message in events)
    assert [report.start_ms for report in found] == [1100.10, None, 310.5]
    assert [report.of_picture for report in found] == [False, True, False]
    assert {(report.duration_ms, report.billed_ms, report.most_memory_mb) for report in found} == {(12.34, 13, 250)}


def _one_sentence(capsys: pytest.CaptureFixture[str], said: str) -> None:
    printed = capsys.readouterr()
    assert printed.out == ""
    last = printed.err.splitlines()[-1]
    assert last.startswith("measure: ")
    assert said in last
    assert "Traceback" not in printed.err
