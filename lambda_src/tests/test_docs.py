"""The pages name only what there is - links, paths, commands, settings, routes - and the README's answers are right."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from moderator.settings import Settings
from support.harness import Service
from tools.reliability import HEAD

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
SOURCES = [ROOT / "lambda_src", ROOT / "infra", ROOT / "bench", ROOT / "tools", ROOT / "docs"]
FILE_NAMES = {path.name for path in ROOT.iterdir()} | {path.name for folder in SOURCES for path in folder.rglob("*")}

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def test_the_readme_is_a_front_door() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


@each_page
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in _anchors(target), link


@each_page
def test_every_path_in_backticks_exists(page: Path) -> None:
    places = (ROOT, ROOT / "lambda_src" / "moderator")
    for path in _paths(page.read_text()):
        if "/" in path:
            assert any((place / path).exists() for place in places), path
        else:
            assert path in FILE_NAMES, path


@each_page
def test_every_make_target_and_its_variables_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target, rest in re.findall(r"\bmake ([a-z-]+)((?: [A-Z_]+=\S*)*)", _code(page.read_text())):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
        for variable in re.findall(r"([A-Z_]+)=", rest):
            assert re.search(rf"^{variable} *[?:]=", makefile, re.MULTILINE), variable
    for span in _spans(page.read_text()):
        if variable := re.match(r"[A-Z_]+(?==)", span):
            assert re.search(rf"^{variable[0]} *[?:]=", makefile, re.MULTILINE), span


@each_page
def test_every_setting_of_the_stack_exists(page: Path) -> None:
    stack = (ROOT / "Pulumi.yaml").read_text()
    for name in re.findall(r"pulumi config set (?:--path ')?([A-Za-z]+)\b(?!:)", page.read_text()):
        assert re.search(rf"^  {name}:", stack, re.MULTILINE), name


def test_the_api_page_has_every_setting_of_the_service() -> None:
    named = set(re.findall(r"`([A-Z_]+)`", _section("docs/api.md", "Settings of the service")))
    assert named == {field.upper() for field in vars(Settings())}


def test_the_api_page_has_every_route(service: Service) -> None:
    paths = service.get("/openapi.json").json["paths"]
    routes = {f"{method.upper()} {path}" for path, operations in paths.items() for method in operations}
    head = (ROOT / "docs/api.md").read_text().partition("\n## ")[0]
    assert set(re.findall(r"^\| `([A-Z]+ \S+)`", head, re.MULTILINE)) == routes


def test_the_readmes_request_gets_the_readmes_answer(service: Service) -> None:
    text = (ROOT / "README.md").read_text()
    command = shlex.split(text[text.index("curl -s") : text.index("```\n", text.index("curl -s"))].replace("\\\n", ""))
    picture = (ROOT / command[-1].removeprefix("@")).read_bytes()
    target = command[2].removeprefix("http://127.0.0.1:8080")
    shown = json.loads(text[text.index('{"result"') : text.index("```\n", text.index('{"result"'))])

    def ask(target: str) -> dict[str, object]:
        reply = service.request("POST", target, picture, {"Content-Type": "image/png"})
        assert reply.status == 200
        answer: dict[str, object] = reply.json
        return answer

    answer = ask(target)
    assert answer["result"] == pytest.approx(shown["result"], rel=0.01)
    assert answer["model"] == shown["model"]
    assert answer.keys() == shown.keys()
    warnings = answer["warnings"]
    assert isinstance(warnings, list)
    for warning, told in zip(warnings, shown["warnings"], strict=True):
        assert warning.startswith(told.removesuffix("..."))

    # The sentence about bad labels: among them, something bad wins.
    bad = re.findall(r"`(an? [a-z ]+)`", text)
    said = float(re.findall(r"with (0\.\d+) when", text)[0])
    result = ask(f"/classify?{urlencode([('label', label) for label in bad])}")["result"]
    assert isinstance(result, dict)
    assert result[bad[0]] == pytest.approx(said, abs=1e-6)
    assert len(bad) == 3


def test_the_page_on_reliability_opens_as_its_generator_writes_it() -> None:
    assert (ROOT / "docs/reliability.md").read_text().startswith(HEAD)


def _code(text: str) -> str:
    """Return what is between backticks, and in blocks of commands, a piece a line."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return "\n".join([*blocks, *_spans(text)])


def _spans(text: str) -> list[str]:
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose)]


def _paths(text: str) -> Iterator[str]:
    """Yield each piece in backticks that can only be a file or a folder of the repository."""
    folders = tuple(f"{folder.name}/" for folder in SOURCES)
    for span in _spans(text):
        is_file = re.fullmatch(r"[\w.][\w./-]*\.(py|json|md|toml|yaml|txt|onnx|png)", span)
        if is_file or span.startswith(folders) or re.fullmatch(r"[a-z_]+/", span):
            yield span


def _anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _section(page: str, heading: str) -> str:
    return (ROOT / page).read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
