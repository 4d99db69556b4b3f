"""Makes the image's files without a container engine, and looks at what the Lambda would find in them.

Run as `python -m tools.image_tree`. It follows the Dockerfile itself (`dockerfile.py`), with wheels for the Lambda's
processor; with `--native` it takes wheels for this machine instead, imports the handler from them and nothing else, and
asks it for its health as a deployment does.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tools.image_tree.checks import MAX_MEGABYTES, VIDEOS, faults, megabytes
from tools.image_tree.tree import ask_for_health, build_tree, find_python


def main() -> int:
    """Make the tree, print what is in it and what is wrong with it; 1 when something is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="keep the tree in this new folder")
    parser.add_argument("--model", default="demo", help="the model to put in; others than demo get random weights")
    parser.add_argument("--precision", default="auto", help="of a model other than demo: auto, fp32 or int8")
    parser.add_argument("--target", choices=("service", VIDEOS), help="the stage to look at; default the last one")
    parser.add_argument("--python", type=Path, default=None, help="the Python to build with, best 3.13")
    parser.add_argument("--native", action="store_true", help="take this machine's wheels and start the handler")
    options = parser.parse_args()
    python = options.python or find_python()
    with tempfile.TemporaryDirectory() as temporary:
        out = (options.out or Path(temporary) / "tree").resolve()
        image = build_tree(
            out,
            model=options.model,
            precision=options.precision,
            python=python,
            native=options.native,
            target=options.target,
        )
        print(f"image: {megabytes(image):.0f} MB unpacked, of {MAX_MEGABYTES} MB, without the base image {image.base}")
        found = faults(image, native=options.native)
        for fault in found:
            print(f"fault: {fault}")
        if options.native:
            print(f"health: {ask_for_health(image, python)}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
