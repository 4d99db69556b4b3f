"""The page's table for Athena has the columns of the worker's lines, and its three questions their answers.

Athena is not here: SQLGlot translates its dialect, and DuckDB answers.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlglot
from sqlglot import exp

from moderator.jobs.build import build_worker
from moderator.jobs.judge_process import JudgeProcess
from moderator.jobs.worker_settings import WorkerSettings
from moderator.settings import Settings
from support.films import Studio
from support.object_store import ObjectStore
from support.pictures import drawn, encoded
from support.videos import EVERY_SECOND, Desk
from tools.jobs.costs import LINE_BYTES

pytestmark = pytest.mark.slow

PAGE = Path(__file__).resolve().parents[3] / "docs" / "jobs.md"
TABLE, SHARES, BLOCKED, FAILED = re.findall(r"```sql\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
# What a line has besides: by its folder, or of no use in a table.
LEFT_OUT = {"policy", "model", "view", "frames", "warnings"}
LEFT_OUT_OF_VIDEO = {"size", "dark", "alike", "stopped"}

RED, BLUE, GREEN = (encoded(drawn(*what)) for what in (("red", "circle"), ("blue", "square"), ("green", "star")))
OBJECTS = {
    **{f"in/{number:02}ü.png": (RED, BLUE, GREEN, RED)[number % 4] for number in range(20)},
    "in/broken.png": RED[:-40],
    "in/empty.png": b"",
    "in/notes.txt": b"no picture",
    "in/film.gif": encoded(
        drawn("green", "star"), "GIF", save_all=True, append_images=[drawn("red", "circle")], duration=1000
    ),
}
KIND: dict[str, type | tuple[type, ...]] = {
    "bigint": int,
    "int": int,
    "double": (int, float),
    "text": str,
    "varchar": str,
    "boolean": bool,
}


Results = dict[str, bytes]


def judged(judge: JudgeProcess, policy: str) -> Results:
    """The results of a job, and of one upload, by the worker."""
    store = ObjectStore({"pictures": dict(OBJECTS), "results": {}})
    worker = build_worker(Settings(), WorkerSettings(results_bucket="results", policy=policy), store.clients(), judge)
    given = {"job": "job", "policy": policy, "bucket": "pictures"}
    worker({"BatchInput": given, "Items": store.items("pictures", "in/")}, None)
    body = json.dumps(store.upload("pictures", "in/00ü.png", OBJECTS["in/00ü.png"], version="1"))
    worker({"Records": [{"messageId": "1", "eventSource": "aws:sqs", "body": body}]}, None)
    return {key: data for key, data in store.buckets["results"].items() if key.startswith("verdicts/")}


@pytest.fixture(scope="module")
def bucket(judge: JudgeProcess) -> Results:
    return judged(judge, "demo")


@pytest.fixture(scope="module")
def lines(bucket: Results) -> list[dict[str, Any]]:
    return [json.loads(line) for part in bucket.values() for line in part.splitlines()]


def columns() -> dict[str, exp.DataType]:
    """The table's columns, without those that are folders."""
    table = sqlglot.parse_one(TABLE, read="athena")
    return {one.name: one.kind for one in table.this.expressions if isinstance(one, exp.ColumnDef) and one.kind}


def misfits(kind: exp.DataType, value: Any, where: str) -> Iterator[str]:
    """Yield what of a value does not fit a type, in whatever depth; names in lower case, as Athena reads them."""
    if value is None:
        return
    name, inner = kind.this.value.lower(), kind.expressions
    if name == "struct":
        fields = {one.name: one.kind for one in inner}
        found = {key.lower(): one for key, one in value.items()}
        yield from (f"{where}.{key} is in no column" for key in found.keys() - fields.keys())
        for key in found.keys() & fields.keys():
            yield from misfits(fields[key], found[key], f"{where}.{key}")
    elif name == "array":
        for one in value:
            yield from misfits(inner[0], one, f"{where}[]")
    elif name == "map":
        for one in value.values():
            yield from misfits(inner[1], one, f"{where}{{}}")
    elif not isinstance(value, KIND[name]) or (isinstance(value, bool) and name != "boolean"):
        yield f"{where} is {value!r}, and its column {name}"


def test_every_line_fits_the_columns_and_leaves_nothing_out(lines: list[dict[str, Any]]) -> None:
    known = columns()
    for line in lines:
        assert line.keys() - LEFT_OUT <= known.keys()
        assert [fault for name in line.keys() & known.keys() for fault in misfits(known[name], line[name], name)] == []


def test_every_column_is_filled_by_some_line(lines: list[dict[str, Any]]) -> None:
    """A misspelt name would be null for ever."""
    known = columns()
    of_lines = {name for line in lines for name in line}
    assert known.keys() - of_lines == {"video"}
    fields = {name: {one.name for one in known[name].expressions} for name in ("source", "error")}
    for name, wanted in fields.items():
        assert {key.lower() for line in lines for key in line.get(name, {})} == wanted
    (reason,) = known["reasons"].expressions
    assert {one.name for one in reason.expressions} == {key for line in lines for one in line["reasons"] for key in one}


def test_a_videos_line_fits_its_column(desk: Desk, studio: Studio) -> None:
    described = desk.judge(studio.film("h264.mp4"), desk.frames(**EVERY_SECOND)).described()
    kind = columns()["video"]
    fields = {one.name for one in kind.expressions}
    assert described.keys() - LEFT_OUT_OF_VIDEO == fields
    assert list(misfits(kind, {name: described[name] for name in fields}, "video")) == []


@pytest.fixture(scope="module")
def ask(bucket: Results, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Ask DuckDB, with the bucket's files in the folders that they are in."""
    folder = tmp_path_factory.mktemp("results")
    for key, data in bucket.items():
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        # The SerDe reads names whatever their case; DuckDB does not.
        path.write_bytes(data.replace(b'"versionId"', b'"versionid"').replace(b'"eTag"', b'"etag"'))
    database = duckdb.connect()
    kinds = ", ".join(f"{name}: '{kind.sql(dialect='duckdb')}'" for name, kind in columns().items())
    database.execute(
        f"""CREATE VIEW verdicts AS SELECT *, TIMESTAMP '2026-11-28 12:00:00' AS "$file_modified_time"
        FROM read_json('{folder}/verdicts/**/*.jsonl', format = 'newline_delimited', hive_partitioning = true,
        columns = {{{kinds}}})"""  # noqa: S608  # names of the page's own
    )

    def ask(question: str) -> list[tuple[Any, ...]]:
        (translated,) = sqlglot.transpile(question, read="athena", write="duckdb")
        return database.execute(translated).fetchall()

    yield ask
    database.close()


def test_the_share_of_each_verdict_by_day(ask: Any, lines: list[dict[str, Any]]) -> None:
    counts = Counter(line["verdict"] for line in lines)
    answers = ask(SHARES)
    assert [(verdict, objects) for _, verdict, objects, _ in answers] == sorted(counts.items())
    assert {str(day) for day, *_ in answers} == {"2026-11-28"}
    for _, verdict, _, percent in answers:
        assert percent == pytest.approx(100 * counts[verdict] / len(lines))


def test_which_categories_blocked_most(ask: Any, lines: list[dict[str, Any]]) -> None:
    counts = Counter(
        category
        for line in lines
        for category in {reason["category"] for reason in line["reasons"] if reason["action"] == "block"}
    )
    assert dict(ask(BLOCKED)) == counts
    assert counts["red circles"] >= 10


def test_what_could_not_be_judged_by_reason(ask: Any, lines: list[dict[str, Any]]) -> None:
    assert ask(FAILED) == [("unknown-picture", 2, "in/empty.png"), ("broken-picture", 1, "in/broken.png")]


def test_the_folders_are_the_tables_partitions(ask: Any, lines: list[dict[str, Any]]) -> None:
    """And the uploads' own folder below them is read too."""
    table = sqlglot.parse_one(TABLE, read="athena")
    (by,) = table.find_all(exp.PartitionedByProperty)
    names = [one.name for one in by.this.expressions]
    found = ask(f"SELECT DISTINCT {', '.join(names)} FROM verdicts")  # noqa: S608  # the page's own
    assert found == [("pictures", lines[0]["policy"]["version"], lines[0]["model"]["fingerprint"])]
    assert ask("SELECT count(*) FROM verdicts") == [(len(OBJECTS) + 1,)]


def test_a_line_is_about_as_long_as_the_costs_say(judge: JudgeProcess) -> None:
    lines = [
        line for part in judged(judge, "moderation").values() for line in part.splitlines() if b"error" not in line
    ]
    assert sum(map(len, lines)) / len(lines) == pytest.approx(LINE_BYTES, rel=0.2)
