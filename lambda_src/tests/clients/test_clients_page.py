"""What docs/clients.md shows works as it is written there, apart from the address."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from moderator.web.routes import ROUTES
from support.client_pictures import ALLOWED, BLOCKED
from support.harness import LAMBDA_SRC, Service
from support.pictures import drawn, encoded

from .test_photoprism import UPLOAD_THRESHOLD, body_of, data_url, post
from .test_photoprism import read as read_as_photoprism
from .test_rekognition import KEY, SECRET

TEXT = (LAMBDA_SRC.parent / "docs/clients.md").read_text()
ADDRESS = "https://abc123.execute-api.eu-central-1.amazonaws.com"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the pictures that the examples read, and AWS' keys."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    (tmp_path / "pictures").mkdir()
    for name in ("picture.jpg", "pictures/a.jpg", "pictures/b.jpg"):
        (tmp_path / name).write_bytes(encoded(drawn("red", "circle"), "JPEG"))
    (tmp_path / "pictures/c.jpg").write_bytes(b"no picture")
    return tmp_path


@pytest.mark.parametrize("number", range(5))
def test_its_examples_run(number: int, desk: Path, service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(blocks("python")) == 5
    code = blocks("python")[number]
    assert ADDRESS in code
    exec(compile(code.replace(ADDRESS, f"http://127.0.0.1:{service.port}"), "docs/clients.md", "exec"), {})  # noqa: S102 - ours
    printed = [line for line in capsys.readouterr().out.splitlines() if line[:1] != "{"]
    assert printed


def test_pict_rs_address_and_sizes_are_as_it_reads_them(demo: Service) -> None:
    (text,) = blocks("toml")
    media = tomllib.loads(text)["media"]
    address = urlsplit(media["external_validation"])
    target = f"{address.path}?{address.query}"
    assert demo.request("POST", target, ALLOWED, {"Content-Type": "image/png"}).status in (200, 406)
    assert media["external_validation_timeout"] == 30
    # In base64, within the 6 MB of a Lambda's event.
    assert max(media["image"]["max_file_size"], media["animation"]["max_file_size"]) * 2**20 * 4 / 3 < 6_000_000


def test_photoprisms_uri_is_answered(demo: Service) -> None:
    (text,) = blocks("yaml")
    (model,) = yaml.safe_load(text)["Models"]
    address = urlsplit(model["Service"]["Uri"])
    reply = post(demo, f"{address.path}?{address.query}".replace("moderation", "demo"), body_of([data_url(BLOCKED)]))
    assert read_as_photoprism(reply, 1)[0].decide(UPLOAD_THRESHOLD) == "unsafe"


def test_every_route_of_an_adapter_is_on_the_page() -> None:
    for route in ROUTES:
        if route.adapter is not None and route.path not in ("/", "/v1/moderations", "/v1/detect-images"):
            assert route.path in TEXT  # the others' clients make the path themselves
