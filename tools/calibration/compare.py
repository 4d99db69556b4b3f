"""Compares exported models on the same labelled pictures: `make compare DATA=... POLICY=... MODELS="folder folder"`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from moderator.clip.model import read_model
from moderator.errors import ConfigurationError, InvalidField
from moderator.settings import read_settings
from tools.calibration.data import DataError, read_data
from tools.calibration.outputs import check_comparison
from tools.calibration.today import today
from tools.core import build_core
from tools.files import printable
from tools.progress import bar

_UNUSABLE, _STOPPED = 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare; return the exit status."""
    parser = argparse.ArgumentParser(prog="make compare", description="Compare models on labelled pictures.")
    parser.add_argument(
        "data", type=Path, help="a folder with a folder for each category, or a CSV file path,categories"
    )
    parser.add_argument("--policy", required=True, help="whose prompts are used")
    parser.add_argument(
        "--models", type=Path, nargs="+", required=True, help="model folders, as make model writes them"
    )
    parser.add_argument("--out", type=Path, default=Path("build/compare"))
    asked = parser.parse_args(arguments)
    try:
        today(os.environ)
        check_comparison(asked.out)
        print(_compare(asked))
    except (ConfigurationError, InvalidField, DataError) as error:
        print(error, file=sys.stderr)
        return _UNUSABLE
    except OSError as error:
        print(f"{error.filename} cannot be read or written: {error.strerror}.", file=sys.stderr)
        return _UNUSABLE
    except KeyboardInterrupt:
        print("Stopped. What was embedded is kept, and is not embedded again.", file=sys.stderr)
        return _STOPPED
    return 0


def _compare(asked: argparse.Namespace) -> str:
    """Compare, and write the table; return it, and where it was written."""
    # Only now: scipy loads numpy's f2py, which reads SOURCE_DATE_EPOCH too, and ends in a traceback if it is no number.
    from tools.calibration.comparison import compare, table
    from tools.calibration.embed import EMBEDDINGS
    from tools.calibration.run import policy_before
    from tools.whole_file import write_whole

    settings = read_settings(os.environ)
    for folder in asked.models:
        read_model(folder)  # the last one's name may be mistyped, and the first one's pictures take an hour
    _, policy = policy_before(build_core(replace(settings, model_dir=asked.models[0])), asked.policy)
    labelled = read_data(asked.data, [category.name for category in policy.categories])
    asked.out.mkdir(parents=True, exist_ok=True)
    with bar() as shown:
        task = shown.add_task("", total=len(labelled.categories) * len(asked.models))
        advance = partial(shown.advance, task)
        compared = compare(settings, labelled, asked.policy, asked.models, EMBEDDINGS, advance)
    write_whole(asked.out / "compare.md", table(compared) + "\n")
    write_whole(asked.out / "compare.json", json.dumps([asdict(one) for one in compared], indent=1) + "\n")
    return printable(f"{table(compared)}\nWritten: {asked.out / 'compare.md'}, {asked.out / 'compare.json'}")


if __name__ == "__main__":
    sys.exit(main())
