"""Another adapter is another file; what else it needs, outside the service, is named by a test."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from infra.api import ROUTES as LET_THROUGH
from moderator.web.routes import ROUTES
from support.client_pictures import BLOCKED
from support.harness import LAMBDA_SRC

ROOT = LAMBDA_SRC.parent

# The whole of it: the upload as the body, the verdict in one word.
ADAPTER = '''"""A form of one word. Its client takes a 5xx for a no."""

from moderator.pictures.batch import Picture
from moderator.web.answers.adapter import POLICY, Adapter, Asked, Place
from moderator.web.answers.reading import check_query, read_body
from moderator.web.answers.writing import verdict_of
from moderator.web.http_event import Response

_WORD = Place(path="/hooks/word", summary="The verdict in one word", takes="image/*", query=(POLICY,))


def read(request, known):
    check_query(request, _WORD.query)
    (name,) = request.query.get("policy") or (None,)
    return Asked(pictures=(Picture(name="The body", data=read_body(request, known.limits)),), by=known.policy(name))


def write(asked, outcomes, model):
    return Response(body=verdict_of(outcomes[0]).action, content_type="text/plain")


def refuse(request, error):
    return Response(status=error.status if error else 500, body="error", content_type="text/plain")


ADAPTER = Adapter(places=(_WORD,), read=read, write=write, refuse=refuse, picture_by_picture=False)
'''

PROGRAM = """
import json, sys
from moderator.handler import build_handler
from moderator.settings import Settings
from moderator.web.gateway import event_of
from moderator.web.routes import ROUTES

handler = build_handler(Settings(default_policy="demo"))

def ask(method, target, body=b""):
    return handler(event_of(method=method, target=target, headers={"content-type": "image/png"}, body=body), None)

picture = sys.stdin.buffer.read()
answers = [ask("POST", target, picture) for target in ("/hooks/word", "/hooks/word?polcy=demo")]
answers.append(ask("POST", "/hooks/word"))
found = {
    "routes": [route.key for route in ROUTES],
    "answers": [[answer["statusCode"], answer["body"]] for answer in answers],
    "described": json.loads(ask("GET", "/openapi.json")["body"])["paths"]["/hooks/word"]["post"],
}
print("FOUND" + json.dumps(found))
"""


def test_its_file_is_all_that_the_service_needs(tmp_path: Path) -> None:
    for name in ("moderator", "demo_model", "label_sets", "policies"):
        shutil.copytree(LAMBDA_SRC / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "moderator/web/answers/word.py").write_text(ADAPTER)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=BLOCKED,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(next(line for line in done.stdout.decode().splitlines() if line.startswith("FOUND"))[5:])
    assert set(found["routes"]) == {route.key for route in ROUTES} | {"POST /hooks/word"}
    # It judges, its query is checked, and what is no picture is an error in its own form.
    assert found["answers"] == [[200, "block"], [422, "error"], [415, "error"]]
    described = found["described"]
    assert described["summary"] == "The verdict in one word"
    assert described["operationId"] == "word_word"
    assert list(described["requestBody"]["content"]) == ["image/*"]
    assert [parameter["name"] for parameter in described["parameters"]] == ["policy"]
    # The repository's other places say what they lack.
    assert missing_elsewhere(["POST /hooks/word"]) == [
        "infra/api.py: ROUTES lacks POST /hooks/word, so API Gateway would answer 404: add it.",
        "docs/api.md: the table of routes has no row for POST /hooks/word that links to its section of clients.md: "
        "write both.",
    ]


def missing_elsewhere(keys: Sequence[str]) -> list[str]:
    """Say what must still be written outside the service for adapters' routes: it cannot be found by itself there."""
    rows = dict(re.findall(r"^\| `([A-Z]+ \S+)` \| (.+) \|$", (ROOT / "docs/api.md").read_text(), re.MULTILINE))
    said = []
    for key in keys:
        if key not in LET_THROUGH:
            said.append(f"infra/api.py: ROUTES lacks {key}, so API Gateway would answer 404: add it.")
        if "](clients.md#" not in rows.get(key, ""):
            said.append(
                f"docs/api.md: the table of routes has no row for {key} that links to its section of clients.md: "
                "write both."
            )
    return said


def test_every_adapter_is_known_to_the_stack_and_the_docs() -> None:
    """Links between pages, and the sections that they name, are checked by test_docs.py."""
    said = missing_elsewhere([route.key for route in ROUTES if route.adapter is not None])
    assert not said, "\n".join(said)


def test_no_two_adapters_answer_the_same_place() -> None:
    places = [(route.key, route.header) for route in ROUTES]
    assert len(set(places)) == len(places)
    assert len({route.name for route in ROUTES}) == len(ROUTES)


FILES = {route.answer: LAMBDA_SRC / f"moderator/web/answers/{route.answer}.py" for route in ROUTES if route.adapter}


@pytest.mark.parametrize("name", FILES)
def test_each_is_a_file_of_less_than_150_lines_that_says_what_its_client_does_with_a_5xx(name: str) -> None:
    text = FILES[name].read_text()
    assert len(text.splitlines()) < 150
    head = text.split('"""')[1]
    assert "5xx" in head, f"{name}.py: its docstring must say what its client does with a 5xx."


def test_so_does_each_section_of_the_docs() -> None:
    page = (ROOT / "docs/clients.md").read_text()
    sections = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    for title in ("OpenAI's SDKs", "AWS' SDKs, Rekognition", "Misskey", "Lemmy, pict-rs", "PhotoPrism"):
        assert re.search(r"\*\*When we fail[^*]*\*\*.*5xx", sections[title], re.DOTALL), title
