"""Objects of one bucket whose lines make one part: what has a line keeps it, the others are judged, none has two."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from moderator.jobs.desk import Desk
from moderator.jobs.line import (
    GONE,
    Line,
    Names,
    alike,
    e_tag_of,
    error_kind,
    is_about_bytes,
    is_final,
    is_of_moment,
    once,
)
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
    there = first = _There(pile, desk, until)
    found = desk.lines(pile.policy, [source for source in pile.sources if source not in there.stand], until=until)
    judged = dict(found)
    for _ in range(_TRIES):
        failures = there.keep_instead_of(judged)
        new = there.mine | judged
        if not judged or there.write(new):  # before older lines of the same objects are taken out
            break
        # Another call has written the part: a second try of the batch, or another job's.
        there = _There(pile, desk, until)
        judged = there.better_than_what_came_since(first, found)
    else:
        raise RuntimeError(f"Other workers write {there.own} all the time: the batch must be tried again.")
    # Of what was there before anything was judged: what came since may be newer.
    first.take_out_what_is_old(judged, there.instead_of(found.keys() - judged.keys()))
    everything = there.stand | judged
    return Judged(
        lines=once(everything[source] for source in pile.sources if source in everything),
        unreached=sum(source not in everything for source in pile.sources),
        new=len(once(new.values())),
        failures=failures,
        part=there.own if judged or there.is_of_own() else "",
    )


class _There:
    """The lines that there are of a pile's objects: in its own part, or wherever other batches had them.

    `stand` are those that need not be made again, and `mine` those of them that an earlier try of this job has made.
    """

    def __init__(self, pile: Pile, desk: Desk, until: float) -> None:
        self._desk, self._job, self._sources = desk, pile.job, pile.sources
        self._standing = Standing(pile.sources, pile.names)
        self.own = own_key(pile.sources, pile.names)
        with ThreadPoolExecutor(1) as meanwhile:
            reading = meanwhile.submit(desk.results.part, self.own)
            others = desk.results.elsewhere(pile.job, pile.sources, pile.names, {self.own})
            before = reading.result()
        self._parts: dict[str, Sequence[Line]] = {self.own: before.lines, **others}
        self._until = until
        unsure = self._standing.unsure([line for lines in self._parts.values() for line in lines])
        self._e_tags = desk.e_tags(unsure, until=until)
        self._e_tag = before.e_tag
        self._kept: set[Source] = set()
        by_job = before.lines[: before.new] if before.job == digest([pile.job]) else ()
        self.mine = self._standing.of_this_job(by_job)
        self.stand = self._standing.among(before.lines, e_tags=self._e_tags) | self.mine
        self._place = dict.fromkeys(self.stand, self.own)
        for part, lines in others.items():
            for source, line in self._candidates(lines).items():
                self._let_stand(source, line, part)

    def _candidates(self, lines: Sequence[Line]) -> dict[Source, Line]:
        found = self._standing.among(lines, e_tags=self._e_tags)
        for source, line in self._standing.final(lines):
            if source in self.mine and alike(line, self.mine[source]):
                found.setdefault(source, line)
        return found

    def _let_stand(self, source: Source, line: Line, part: str) -> None:
        """Let another part's line stand, unless one does that is as good; whoever looks then leaves the same one."""
        stands = self.stand.get(source)
        if stands is not None and is_final(stands):
            if part > self._place[source] or not alike(line, stands):
                return
        elif stands is not None:
            self.mine.pop(source, None)  # what this job could not read, another one could
        self.stand[source], self._place[source] = line, part

    def keep_instead_of(self, judged: dict[Source, Line]) -> Counter[str]:
        """Take out of `judged` what has a line already after all; return what could not be read now, by reason.

        That is an object whose bytes turn out to be those of a line, or of which S3 says nothing. Then the verdict that
        it had stands, or the reason why it had none, which is counted already. What is gone has no bytes, and what
        could be read so far has those that it has.
        """
        failures: Counter[str] = Counter()
        for part, lines in sorted(self._parts.items()):  # of lines that are alike, the first part's stays
            in_doubt = self._standing.in_doubt(lines, e_tags=self._e_tags)
            for source, line in self._standing.final(lines):
                now = judged.get(source)
                if now is None or not (alike(now, line) if is_about_bytes(now) else in_doubt.get(source) is line):
                    continue
                del judged[source]
                failures[error_kind(now)] += not is_final(now) and not error_kind(line)
                self.stand[source], self._place[source] = line, part
                self._kept.add(source)
        return +failures

    def is_of_own(self) -> bool:
        """Return whether lines of the own part stand."""
        return self.own in self._place.values()

    def better_than_what_came_since(self, first: _There, found: Mapping[Source, Line]) -> dict[Source, Line]:
        """Return which of the lines that were found since the first look are to replace what others wrote meanwhile.

        These are the lines about the bytes that are there now, and those that say more than an error of the moment.
        What others wrote stands otherwise.
        """
        rivals = {source: line for source, line in self.stand.items() if source in found}
        for line in self._parts[self.own]:
            source = self._standing.source_of(line)
            if source is not None and source in found and line not in first._parts[first.own]:
                rivals.setdefault(source, line)
        unlike = {source for source, line in rivals.items() if e_tag_of(line) != e_tag_of(found[source])}
        present = self._desk.e_tags(unlike, until=self._until)
        better = {}
        for source, line in found.items():
            rival = rivals.get(source)
            is_present = source in unlike and present[source] == e_tag_of(line)
            says_more = source in unlike and present[source] == "" and rival is not None and not is_final(rival)
            if rival is None or (is_final(line) and (is_present or says_more)):
                better[source] = line
                self.stand.pop(source, None)
                self._place.pop(source, None)
            else:
                self.stand[source] = rival
                self._place.setdefault(source, self.own)
        return better

    def write(self, new: Mapping[Source, Line]) -> bool:
        """Write the own part, unless another call has written it since it was read; return whether it is written.

        The new lines come first, but for those that stand elsewhere. After them come those that these do not replace:
        they stand, or the time was over before their objects' turn.
        """
        in_order = once(new[source] for source in self._sources if source in new)
        first = [line for line in in_order if not self._stands_elsewhere(line, self.own)]
        left = [line for line in self._parts[self.own] if self._standing.source_of(line) not in new]
        return self._desk.results.write_part(
            self.own, [*first, *left], self._job, new=len(first), instead_of=self._e_tag
        )

    def instead_of(self, sources: Iterable[Source]) -> dict[Source, Line]:
        """Return the lines that others have written since the first look, of objects that this call has judged too."""
        return {source: self.stand[source] for source in sources if source in self.stand and source not in self._kept}

    def take_out_what_is_old(self, judged: Mapping[Source, Line], instead: Mapping[Source, Line]) -> None:
        """Leave no object a second line: neither one that is older, nor the same once more.

        Older is what was there before an object was `judged`, or before others wrote what stands `instead`. Other bytes
        than those that stand are older, or newer ones that another job has met since: S3 knows. Of lines that are
        alike, none is taken out of the first part by name, whoever looks.
        """
        unlike = {
            found
            for part, lines in self._parts.items()
            for line in lines
            if (found := self._stands_elsewhere(line, part)) is not None
            and e_tag_of(line) != e_tag_of(self.stand[found])
        }
        present = self._desk.e_tags(unlike, until=self._until)

        def is_old(line: Line, part: str) -> bool:
            about = self._standing.source_of(line)
            if about in judged:
                return part != self.own  # where it is replaced already
            if about is not None and about in instead:
                return not alike(line, instead[about])
            source = self._stands_elsewhere(line, part)
            if source is None:
                return False
            stands = self.stand[source]
            now = None if error_kind(stands) == GONE else e_tag_of(stands)
            is_replaced = source in present and present[source] == now
            says_less = is_final(stands) and is_of_moment(line) and e_tag_of(line) in (None, e_tag_of(stands))
            return is_replaced or says_less or (alike(line, stands) and self._place[source] < part)

        for part, lines in self._parts.items():
            # None but those that were read: another job may have written a newer one since, of the same object.
            if old := [line for line in lines if is_old(line, part)]:
                self._desk.results.take_out(part, old.__contains__)

    def _stands_elsewhere(self, line: Line, part: str) -> Source | None:
        source = self._standing.source_of(line)
        return source if source is not None and source in self.stand and self._place[source] != part else None
