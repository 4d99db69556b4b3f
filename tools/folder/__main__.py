"""Judges every picture below a folder: `make moderate DIR=... POLICY=...`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from moderator.errors import ConfigurationError, InvalidField
from moderator.policy.file import check_calibration
from moderator.settings import read_settings
from tools.core import build_core
from tools.files import printable
from tools.folder.place import PAGE, VERDICTS, PlaceError, default_place
from tools.folder.run import moderate_folder

# The exit status. Without --fail-on, a run that ended well is 0 whatever it found.
_FOUND, _UNUSABLE, _STOPPED = 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge a folder; return the exit status."""
    parser = argparse.ArgumentParser(prog="make moderate", description="Judge every picture below a folder.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--policy", required=True, help="the name of a policy in lambda_src/policies")
    parser.add_argument("--out", type=Path, help="where the verdicts go; default build/moderate/FOLDER-HASH")
    parser.add_argument(
        "--fail-on",
        choices=("review", "block"),
        help="exit with 1 if any verdict is at least as bad as this; an unreadable file's is the policy's on_error",
    )
    asked = parser.parse_args(arguments)
    out = asked.out or default_place(asked.folder)
    console = Console(stderr=True)
    try:
        core = build_core(read_settings(os.environ))
        policy = core.policy(asked.policy)
        check_calibration(policy, name=core.model.name, pretrained=core.model.pretrained)
        run = moderate_folder(core, policy, asked.folder, out, console)
    except (ConfigurationError, InvalidField, NotADirectoryError, PlaceError) as error:
        print(error, file=sys.stderr)
        return _UNUSABLE
    except OSError as error:  # of a picture's file it is that picture's line
        print(f"{printable(str(out))} cannot be written: {error.strerror}.", file=sys.stderr)
        return _UNUSABLE
    except KeyboardInterrupt:
        print(
            f"Stopped. The same command goes on from here: {printable(str(out / VERDICTS))} is kept.", file=sys.stderr
        )
        return _STOPPED
    print(run.counts.summary(others=run.others))
    print(printable(f"Written: {out / VERDICTS}, {out / PAGE}"))
    if asked.fail_on and not run.counts.total:
        print("Nothing was judged, so that nothing can be said of it.", file=sys.stderr)
        return _UNUSABLE
    return _FOUND if asked.fail_on and run.counts.any_at_least(asked.fail_on) else 0


if __name__ == "__main__":
    sys.exit(main())
