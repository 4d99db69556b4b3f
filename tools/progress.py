"""A bar that says on the terminal how far a command is; it is gone when the command is done."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn


def bar() -> Progress:
    """Return a bar, to be used as a context; it goes to standard error, since what was found goes to the output."""
    console = Console(stderr=True)
    # Where nobody looks, it would leave an empty line.
    return Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
