"""Starts ministack, a local AWS, in a virtual environment of its own, with what it lacks of what jobs need.

`build/ministack/bin/python -m tools.emulator` (GATEWAY_PORT=). ministack 1.5 reads a map's items, but neither batches
them nor writes the results nor redrives, and it moves no dead letters; that is added here as AWS documents it, and
nothing else is changed.
"""

from __future__ import annotations

import sys

from ministack.app import main  # type: ignore[import-not-found]  # of the other environment

from tools.emulator import maps, moving, redriving

if __name__ == "__main__":
    for lacking in (maps, moving, redriving):
        lacking.add()
    sys.exit(main())
