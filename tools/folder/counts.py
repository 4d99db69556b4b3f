"""Counts what a run has found so far: for the progress bar, and for the summary at its end."""

from __future__ import annotations

from collections import Counter

from moderator.policy.policy import ACTIONS, Action
from tools.files import printable
from tools.folder.ledger import Line

# How many unreadable files the terminal lists; the page and the ledger have all of them.
_MOST_LISTED = 20


class Counts:
    """Counts lines."""

    def __init__(self) -> None:
        self.verdicts: Counter[str] = Counter()  # of what could be judged
        self.reasons: Counter[tuple[str, str]] = Counter()  # (action, category)
        self.unreadable: list[tuple[str, str]] = []  # path, why
        self.new = 0
        self.videos = 0

    def add(self, line: Line, *, new: bool) -> None:
        """Count one line."""
        self.new += new
        self.videos += "video" in line
        if "error" in line:
            self.unreadable.append((printable(line["source"]["path"]), line["error"]["detail"]))
            return
        self.verdicts[line["verdict"]] += 1
        self.reasons.update((reason["action"], reason["category"]) for reason in line["reasons"])

    @property
    def total(self) -> int:
        """How many pictures were counted."""
        return self.verdicts.total() + len(self.unreadable)

    def short(self) -> str:
        """Return the counts on one line."""
        said = [f"{action} {self.verdicts[action]:,}" for action in reversed(ACTIONS)]
        return " · ".join([*said, *([f"unreadable {len(self.unreadable):,}"] if self.unreadable else [])])

    def any_at_least(self, action: Action) -> bool:
        """Return whether any picture that could be judged got `action`, or a worse one."""
        return any(self.verdicts[one] for one in ACTIONS[ACTIONS.index(action) :])

    def summary(self, *, others: int) -> str:
        """Return the summary of a run."""
        pictures = "picture" if self.total == 1 else "pictures"
        if self.videos:
            pictures += f" ({self.videos:,} of them {'a video' if self.videos == 1 else 'videos'})"
        lines = [f"{self.total:,} {pictures}, {self.new:,} of them judged now.", self.short()]
        for action in reversed(ACTIONS[1:]):
            of_action = [(category, count) for (one, category), count in self.reasons.most_common() if one == action]
            lines += [f"  {action:<7} {category}: {count:,}" for category, count in of_action]
        if self.unreadable:
            lines.append(f"{len(self.unreadable):,} could not be read:")
            lines += [f"  {path}: {why}" for path, why in self.unreadable[:_MOST_LISTED]]
            if len(self.unreadable) > _MOST_LISTED:
                lines.append(f"  and {len(self.unreadable) - _MOST_LISTED:,} more, which the page lists.")
        if others:
            are = "file is neither a picture nor a video" if others == 1 else "files are neither pictures nor videos"
            lines.append(f"{others:,} other {are}.")
        return "\n".join(lines)
