"""The command that calibrates: its arguments, its words and its exit status."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from moderator.errors import ConfigurationError, InvalidField
from moderator.settings import read_settings
from tools.calibration.data import DataError, read_data
from tools.calibration.embed import EMBEDDINGS
from tools.calibration.outputs import check_report
from tools.calibration.run import Done, Request, policy_before, run
from tools.calibration.target import check_free, policy_path
from tools.calibration.thresholds import Targets
from tools.calibration.today import today
from tools.core import build_core
from tools.progress import bar

_UNUSABLE, _STOPPED = 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Calibrate; return the exit status."""
    asked = _arguments(arguments)
    name = asked.name or f"{asked.policy}-next"
    report = asked.out or Path("build/calibration") / name
    try:
        settings = read_settings(os.environ)
        check_free(policy_path(settings.policies_dir, name), replace=asked.replace)
        check_report(report)
        core = build_core(settings)
        _, before = policy_before(core, asked.policy)
        labelled = read_data(asked.data, [category.name for category in before.categories])
        with bar() as shown:
            task = shown.add_task("", total=len(labelled.categories))
            done = run(
                core,
                labelled,
                EMBEDDINGS,
                Request(
                    policy=asked.policy,
                    name=name,
                    targets=Targets(precision=asked.precision, recall=asked.recall),
                    method=asked.method,
                    date=today(os.environ),
                    policies_dir=core.settings.policies_dir,
                    report=report,
                    replace=asked.replace,
                ),
                lambda: shown.advance(task),
            )
    except (ConfigurationError, InvalidField, DataError) as error:
        print(error, file=sys.stderr)
        return _UNUSABLE
    except OSError as error:
        print(f"{error.filename} cannot be read or written: {error.strerror}.", file=sys.stderr)
        return _UNUSABLE
    except KeyboardInterrupt:
        print(f"Stopped. What was embedded is kept in {EMBEDDINGS}.", file=sys.stderr)
        return _STOPPED
    print(summary(done, report))
    return 0


def summary(done: Done, report: Path) -> str:
    """Return what was found, in lines for the terminal."""
    lines = []
    for name, one in done.figures["categories"].items():
        lines.append(f"{name}: {one['pictures']:,} pictures, AUROC {one['metrics']['after']['auroc']:.3f}")
        used = [(threshold, one[threshold]) for threshold in ("review", "block") if one[threshold]]
        lines += [f"  {threshold} {chosen['value']}: {chosen['sentence']}" for threshold, chosen in used]
        lines += [f"  better without {text!r}" for text in one["advice"]["hurts"]]
    lines += [f"all categories: better without {text!r} in neutral" for text in done.figures["neutral_that_hurts"]]
    lines += [f"{name}: not calibrated with these pictures. {why}" for name, why in done.figures["refused"].items()]
    lines += [f"Unreadable: {one['path']}: {one['why']}" for one in done.figures["unreadable"]]
    return "\n".join([*lines, f"Written: {done.policy_file}, {report}/report.html, {report}/report.json"])


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make calibrate", description="Calibrate a policy on labelled pictures.")
    parser.add_argument(
        "data", type=Path, help="a folder with a folder for each category, or a CSV file path,categories"
    )
    parser.add_argument("--policy", required=True, help="the name of a policy in lambda_src/policies")
    parser.add_argument("--name", help="of the policy that is written; default POLICY-next")
    parser.add_argument("--replace", action="store_true", help="write over a policy that no calibration wrote")
    parser.add_argument("--out", type=Path, help="the report's folder; default build/calibration/NAME")
    parser.add_argument("--method", choices=("platt", "isotonic"), default="platt")
    parser.add_argument(
        "--precision", type=_share, default=0.95, help="the precision that block is chosen for; default 0.95"
    )
    parser.add_argument(
        "--recall", type=_share, default=0.95, help="the recall that review is chosen for; default 0.95"
    )
    return parser.parse_args(arguments)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a share: give a number between 0 and 1, such as 0.95")
    return share
