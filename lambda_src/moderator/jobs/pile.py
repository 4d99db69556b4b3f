"""Objects of one bucket whose lines make one part: what has a line keeps it, the others are judged, none has two."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from moderator.jobs.desk import Desk
from moderator.jobs.line import CHANGED, GONE, Line, Names, error_kind, is_final
from moderator.jobs.parts import PART_OBJECTS, digest, own_key
from moderator.jobs.sources import Source
from moderator.jobs.standing import Standing

_TRIES = 8


@dataclass(frozen=True, kw_only=True)
class Pile:
    """The objects, and by which policy which job asks about them."""

    job: str
    policy: str
    names: Names
    sources: Sequence[Source]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What came of a pile: a line for each object, but for the `unreached`, and the part that they stand in, or none.

    `new` of them this job has judged, at this try or an earlier one. `failures` are by reason, of objects whose lines
    tell of an earlier verdict.
    """

    lines: Sequence[Line]
    unreached: int
    new: int
    failures: Counter[str]
    part: str


def piles_of(sources: Sequence[Source]) -> list[tuple[Source, ...]]:
    """Divide the objects of a batch into those whose lines make one part; one named twice is there once."""
    by_bucket: dict[str, dict[tuple[str, str], Source]] = defaultdict(dict)
    for source in sources:
        by_bucket[source.bucket][source.key, source.version_id or ""] = source
    ordered = [tuple(of[name] for name in sorted(of)) for of in by_bucket.values()]
    return [of[at : at + PART_OBJECTS] for of in ordered for at in range(0, len(of), PART_OBJECTS)]


def judge_pile(pile: Pile, desk: Desk, until: float) -> Judged:
    """Judge what has no line yet, write the lines, and see to it that no object has two.

    Raises:
        RuntimeError: others write the pile's part all the time.
    """
    there = _There(pile, desk)
    found = desk.lines(pile.policy, [source for source in pile.sources if source not in there.stand], until=until)
    for _ in range(_TRIES):
        judged = {source: line for source, line in found.items() if not there.has(source, line)}
        failures = there.keep_instead_of(judged)
        new = _once((there.mine | judged).values())
        if not judged or there.write(new):  # before older lines of the same objects are taken out
            break
        there = _There(pile, desk)  # another call has written the part: a second try of the batch, or another job's
    else:
        raise RuntimeError(f"Other workers write {there.own} all the time: the batch must be tried again.")
    there.take_out_what_is_old(judged)
    everything = there.stand | judged
    return Judged(
        lines=_once(everything[source] for source in pile.sources if source in everything),
        unreached=sum(source not in everything for source in pile.sources),
        new=len(new),
        failures=failures,
        part=there.own if judged or there.is_of_own() else "",
    )


def _once(lines: Iterable[Line]) -> list[Line]:
    """Return the lines, in order, without those about what another is about.

    A list may name an object twice, with a version and without one.
    """
    return list({(line["source"]["key"], line["source"]["versionId"]): line for line in lines}.values())


class _There:
    """The lines that there are of a pile's objects: in its own part, or wherever other batches had them.

    `stand` are those that need not be made again, and `mine` those of them that an earlier try of this job has made.
    """

    def __init__(self, pile: Pile, desk: Desk) -> None:
        self._desk, self._job, self._standing = desk, pile.job, Standing(pile.sources, pile.names)
        self.own = own_key(pile.sources, pile.names)
        with ThreadPoolExecutor(1) as meanwhile:
            reading = meanwhile.submit(desk.results.part, self.own)
            self._others = desk.results.elsewhere(pile.job, pile.sources, pile.names, {self.own})
            before = reading.result()
        self._parts: dict[str, Sequence[Line]] = {self.own: before.lines, **self._others}
        self._e_tags = desk.e_tags(self._standing.unsure([line for lines in self._parts.values() for line in lines]))
        self._e_tag = before.e_tag
        by_job = before.lines[: before.new] if before.job == digest([pile.job]) else ()
        self.mine = self._standing.of_this_job(by_job)
        self.stand = self._standing.among(before.lines, e_tags=self._e_tags) | self.mine
        self._place = dict.fromkeys(self.stand, self.own)
        for part, lines in self._others.items():
            for source, line in self._standing.among(lines, e_tags=self._e_tags).items():
                self.stand.setdefault(source, line)
                self._place.setdefault(source, part)

    def keep_instead_of(self, judged: dict[Source, Line]) -> Counter[str]:
        """Take out of `judged` what could not be read now, and may have the same bytes as before; count it by reason.

        The verdict that it had stands, or the reason why it had none, which is counted already. What is gone has no
        bytes, and what could be read so far has those that it has.
        """
        failures: Counter[str] = Counter()
        for part, lines in self._parts.items():
            for source, line in self._standing.in_doubt(lines, e_tags=self._e_tags).items():
                now = judged.get(source)
                if now is None or is_final(now) or error_kind(now) in (GONE, CHANGED) or _e_tag(now):
                    continue
                del judged[source]
                failures[error_kind(now)] += not error_kind(line)
                self.stand[source], self._place[source] = line, part
        return +failures

    def is_of_own(self) -> bool:
        """Return whether lines of the own part stand."""
        return self.own in self._place.values()

    def has(self, source: Source, line: Line) -> bool:
        """Return whether a line about the same bytes stands already."""
        return source in self.stand and bool(self.stand[source]["source"] == line["source"])

    def write(self, new: Sequence[Line]) -> bool:
        """Write the own part, unless another call has written it since it was read; return whether it is written.

        The new lines come first. After them come those that these, or such as stand elsewhere, do not replace: they
        stand, or the time was over before their objects' turn.
        """
        replaced = {self._standing.source_of(line) for line in new}
        left = [
            line
            for line in self._parts[self.own]
            if self._standing.source_of(line) not in replaced and not self._stands_elsewhere(line, self.own)
        ]
        return self._desk.results.write_part(self.own, [*new, *left], self._job, new=len(new), instead_of=self._e_tag)

    def take_out_what_is_old(self, judged: Mapping[Source, Line]) -> None:
        """Leave no object a second line: neither one that is older, nor the same once more.

        Other bytes than those that stand are older, or newer ones that another job has met since: S3 knows.
        """
        # The pile's own part needs no such care where it was just written.
        parts = self._others if judged else self._parts
        unlike = {
            found
            for part, lines in parts.items()
            for line in lines
            if (found := self._stands_elsewhere(line, part)) is not None and _e_tag(line) != _e_tag(self.stand[found])
        }
        present = self._desk.e_tags(unlike)

        def is_old(line: Line, part: str) -> bool:
            if self._standing.source_of(line) in judged:
                return True
            source = self._stands_elsewhere(line, part)
            if source is None:
                return False
            stands = self.stand[source]
            replaced = _e_tag(line) != _e_tag(stands) and present.get(source) == _e_tag(stands)
            return bool(stands["source"] == line["source"]) or replaced

        for part, lines in parts.items():
            # None but those that were read: another job may have written a newer one since, of the same object.
            if old := [line for line in lines if is_old(line, part)]:
                self._desk.results.take_out(part, old.__contains__)

    def _stands_elsewhere(self, line: Line, part: str) -> Source | None:
        source = self._standing.source_of(line)
        return source if source is not None and source in self.stand and self._place[source] != part else None


def _e_tag(line: Line) -> str | None:
    e_tag: str | None = line["source"]["eTag"]
    return e_tag
