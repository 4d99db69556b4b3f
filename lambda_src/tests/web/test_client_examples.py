"""The examples in docs/examples do what they say, against the service as it is."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from support.harness import LAMBDA_SRC, Service

EXAMPLES = LAMBDA_SRC.parent / "docs" / "examples"
PICTURE = LAMBDA_SRC / "demo_model" / "example.png"


def run(
    service: Service, *command: str, picture: Path = PICTURE, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    url = f"http://127.0.0.1:{service.port}"
    client = str(EXAMPLES.parents[1] / "clients/python")
    return subprocess.run(
        [*command, str(picture)],
        env=os.environ | {"MODERATOR_URL": url, "PYTHONPATH": client} | dict(environment or {}),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_curl(service: Service) -> None:
    done = run(service, "sh", str(EXAMPLES / "classify.sh"))
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)["result"]
    assert max(result, key=result.__getitem__) == "a red circle"


def test_python(service: Service) -> None:
    done = run(service, sys.executable, str(EXAMPLES / "classify.py"))
    assert done.returncode == 0, done.stderr
    first, *_, categories = done.stdout.splitlines()
    assert re.fullmatch(r" +[01]\.\d{4}  a red circle", first)
    assert "'round': " in categories


def test_python_with_our_own_client(service: Service, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not a picture")
    command = (sys.executable, str(EXAMPLES / "moderate.py"), str(PICTURE), str(broken))
    done = run(service, *command, environment={"MODERATOR_POLICY": "demo", "MODERATOR_TOKEN": "a token"})
    first, second, third = done.stdout.splitlines()
    assert re.fullmatch(rf"{re.escape(str(PICTURE))}: block because of red circles \(.*circle.*\)", first)
    assert second.startswith(f"{broken}: not judged. images[0] is ")
    assert third == first
    assert done.returncode == 1, "one was not judged"
    sound = run(service, *command[:2], environment={"MODERATOR_POLICY": "demo"})
    assert (sound.returncode, sound.stdout) == (0, f"{first}\n")


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"MODERATOR_POLICY": "nothing"}, "'nothing' is not configured"),
        ({"MODERATOR_URL": "127.0.0.1"}, "it must begin with https://"),
    ],
)
def test_what_is_wrong_with_the_whole_of_it_is_one_sentence(
    service: Service, environment: dict[str, str], said: str
) -> None:
    done = run(service, sys.executable, str(EXAMPLES / "moderate.py"), environment=environment)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_without_pictures_it_says_how_it_is_called() -> None:
    command = [sys.executable, str(EXAMPLES / "moderate.py")]
    client = {"PYTHONPATH": str(EXAMPLES.parents[1] / "clients/python")}
    done = subprocess.run(command, env=os.environ | client, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "python moderate.py picture.png" in done.stderr


def test_javascript(service: Service) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node here")
    done = run(service, node, str(EXAMPLES / "classify.mjs"))
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"a red circle: [01]\.\d{4}\n", done.stdout)


@pytest.mark.parametrize("example", ["classify.sh", "classify.py", "classify.mjs", "moderate.py"])
def test_each_shows_the_sentence_of_a_refusal(example: str, service: Service, tmp_path: Path) -> None:
    program = {"sh": "sh", "py": sys.executable, "mjs": shutil.which("node")}[example.partition(".")[2]]
    if program is None:
        pytest.skip("there is no node here")
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not a picture")
    done = run(service, program, str(EXAMPLES / example), picture=broken)
    assert done.returncode != 0
    assert "picture" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_container_serves_http_from_the_images_own_files(tmp_path: Path) -> None:
    """What `docker run --entrypoint python IMAGE -m moderator.web.server --host 0.0.0.0` starts, in the same folder."""
    dockerfile = (LAMBDA_SRC / "Dockerfile").read_text(encoding="utf-8")
    copied = re.findall(r"^COPY (\w+) task/(\w+)$", dockerfile, re.MULTILINE)
    assert ("moderator", "moderator") in copied
    for source, name in (*copied, ("demo_model", "model")):
        shutil.copytree(LAMBDA_SRC / source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    settings = " ".join(re.findall(r"^ENV (.*)", dockerfile, re.MULTILINE))
    environment = dict(one.replace("/var/task", str(tmp_path)).split("=") for one in settings.split())
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with subprocess.Popen(
        [sys.executable, "-m", "moderator.web.server", "--host", "0.0.0.0", "--port", "0"],  # noqa: S104 - for the test's own moment
        cwd=tmp_path,
        env=kept | environment | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            greeting = process.stdout.readline()
            port = re.search(r"Serving model on http://127\.0\.0\.1:(\d+) and on every other address", greeting)
            assert port, greeting
            service = Service(int(port[1]))
            assert service.get("/health").json["status"] == "ok"
            assert service.post_picture(PICTURE.read_bytes(), "label=a+red+circle&label=b").status == 200
        finally:
            process.terminate()
        assert process.wait(10) == 0
    assert re.search(r"^h11==", (LAMBDA_SRC / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)
