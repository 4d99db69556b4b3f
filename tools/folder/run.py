"""One run over a folder: the ledger, the progress bar, and the page at the end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from moderator.policy.policy import ACTIONS, Policy
from moderator.web.answers import native
from tools.core import Core
from tools.files import find_pictures, printable
from tools.folder.counts import Counts
from tools.folder.judge import FolderJudge
from tools.folder.ledger import Ledger, read_lines
from tools.folder.overview import groups
from tools.folder.place import PAGE, VERDICTS, take_place
from tools.pages.page import write_page
from tools.pages.thumbnails import thumbnails


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a run found."""

    counts: Counts
    others: int  # files that are neither pictures nor videos


def moderate_folder(core: Core, policy: Policy, folder: Path, out: Path, console: Console) -> Run:
    """Judge every picture and video below `folder`, and write `verdicts.jsonl` and `index.html` into `out`.

    Raises:
        NotADirectoryError: there is no such folder.
        PlaceError: `out` is another folder's, or cannot be made.
        InvalidField: a label of the policy is longer than the model's context.
    """
    files = find_pictures(folder, videos=True)
    take_place(out, folder)
    judge = FolderJudge(core, policy, folder)
    counts = Counts()
    bar = Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[found]}"),
        console=console,
        transient=True,
    )
    with Ledger(out / VERDICTS, belongs=judge.belongs) as ledger, bar:
        task = bar.add_task("", total=len(files.paths), rate="", found="")
        for batch in judge.judge(files.paths, ledger):
            for judged in batch:
                counts.add(judged.line, new=judged.new)
            bar.update(task, advance=len(batch), found=counts.short())
            if speed := bar.tasks[task].speed:
                bar.update(task, rate=f"{speed:.0f} pictures/s")
        ledger.finish(files.paths)
    _write_page(core, policy, folder, out, counts)
    return Run(counts=counts, others=files.others)


def _write_page(core: Core, policy: Policy, folder: Path, out: Path, counts: Counts) -> None:
    grouped = groups(read_lines(out / VERDICTS), policy)
    shown = [picture.path for group in grouped for picture in group.pictures]
    totals = [
        {
            "verdict": action,
            "count": counts.verdicts[action],
            "unreadable": counts.unjudged[action],
            "categories": [
                (category, count) for (one, category), count in counts.reasons.most_common() if one == action
            ],
        }
        for action in reversed(ACTIONS)
    ]
    write_page(
        out / PAGE,
        "folder.html",
        title=f"{counts.total:,} pictures in {printable(folder.resolve().name)}",
        policy=native.policy_name(policy),
        model=native.model_name(core.model),
        totals=totals,
        groups=grouped,
        thumbnails=thumbnails(shown, folder, core.model, core.settings),
        unreadable=sorted(counts.unreadable),
        on_error=policy.on_error,
    )
