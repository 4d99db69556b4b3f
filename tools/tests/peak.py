"""Runs a tool as `python -m` does, and prints the bytes that it held at most as the last line."""

from __future__ import annotations

import resource
import subprocess
import sys


def main() -> None:
    """Run the module that the first argument names, with the rest."""
    done = subprocess.run([sys.executable, "-W", "error", "-m", *sys.argv[1:]], check=False)
    # In kilobytes on Linux, in bytes on macOS.
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
