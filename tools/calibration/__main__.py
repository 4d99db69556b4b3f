"""Calibrates a policy on labelled pictures: `make calibrate DATA=... POLICY=...`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from moderator.errors import ConfigurationError
from tools.calibration.today import today

_UNUSABLE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Calibrate; return the exit status."""
    try:
        today(os.environ)
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return _UNUSABLE
    # Only now: scipy loads numpy's f2py, which reads SOURCE_DATE_EPOCH too, and ends in a traceback if it is no number.
    from tools.calibration import command

    return command.main(arguments)


if __name__ == "__main__":
    sys.exit(main())
