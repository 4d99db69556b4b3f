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
        self.verdicts: Counter[str] = Counter()  # of all: what could not be read has the policy's `on_error`
        self.unjudged: Counter[str] = Counter()  # those of them that could not be read
        self.reasons: Counter[tuple[str, str]] = Counter()  # (action, category)
        self.unreadable: list[tuple[str, str]] = []  # path, why; in the order in which it was found out
        self.new = 0  # judged in this run
        self.videos = 0

    def add(self, line: Line, *, new: bool) -> None:
        """Count one line."""
        self.verdicts[line["verdict"]] += 1
        if "error" in line:
            self.unjudged[line["verdict"]] += 1
            self.unreadable.append((printable(line["source"]["path"]), line["error"]["detail"]))
            return
        self.new += new
        self.videos += "video" in line
        self.reasons.update((reason["action"], reason["category"]) for reason in line["reasons"])

    @property
    def total(self) -> int:
        """How many pictures were counted."""
        return self.verdicts.total()

    def short(self) -> str:
        """Return the counts on one line."""
        return " · ".join(
            f"{action} {self.verdicts[action]:,}"
            + (f" ({self.unjudged[action]:,} unreadable)" if self.unjudged[action] else "")
            for action in reversed(ACTIONS)
        )

    def any_at_least(self, action: Action) -> bool:
        """Return whether any file's verdict is `action`, or a worse one: an unreadable file's counts as well."""
        return any(self.verdicts[one] for one in ACTIONS[ACTIONS.index(action) :])

    def summary(self, *, others: int) -> str:
        """Return the summary of a run."""
        if not self.total:
            return (
                f"There are no pictures and no videos here, only {others:,} other {'file' if others == 1 else 'files'}."
            )
        pictures = "picture" if self.total == 1 else "pictures"
        if self.videos:
            pictures += f" ({self.videos:,} of them {'a video' if self.videos == 1 else 'videos'})"
        lines = [f"{self.total:,} {pictures}, {self.new:,} of them judged now.", self.short()]
        for action in reversed(ACTIONS):
            of_action = [(category, count) for (one, category), count in self.reasons.most_common() if one == action]
            lines += [f"  {action:<7} {category}: {count:,}" for category, count in of_action]
            if self.unjudged[action]:
                lines.append(f"  {action:<7} unreadable, as the policy's on_error says: {self.unjudged[action]:,}")
        if self.unreadable:
            lines.append(f"{len(self.unreadable):,} could not be read:")
            lines += [f"  {path}: {why}" for path, why in sorted(self.unreadable)[:_MOST_LISTED]]
            if len(self.unreadable) > _MOST_LISTED:
                lines.append(f"  and {len(self.unreadable) - _MOST_LISTED:,} more, which the page lists.")
        if others:
            are = "file is neither a picture nor a video" if others == 1 else "files are neither pictures nor videos"
            lines.append(f"{others:,} other {are}.")
        return "\n".join(lines)
