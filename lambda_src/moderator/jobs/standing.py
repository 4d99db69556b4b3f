"""Which of the lines that are there need not be made again, and which are to go: pure, about the objects of a batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from moderator.jobs.line import Line, Names, is_final
from moderator.jobs.sources import Source


class Standing:
    """Finds its lines again: by the version, where a batch names one, or as whatever is there under a key."""

    def __init__(self, sources: Sequence[Source], names: Names) -> None:
        self._sources = {(source.key, source.version_id): source for source in sources}
        self._names = names

    def source_of(self, line: Line) -> Source | None:
        """Return the object that a line is about, or None."""
        source = line["source"]
        named = self._sources.get((source["key"], source["versionId"]))
        return named or self._sources.get((source["key"], None))

    def unsure(self, lines: Sequence[Line]) -> set[Source]:
        """Return the objects that have a line, and of which a list tells neither version nor ETag."""
        found = {source for line in lines for source in self._sources_of(line)}
        return {source for source in found if not source.e_tag and not source.version_id}

    def among(self, lines: Sequence[Line], *, e_tags: Mapping[Source, str | None]) -> dict[Source, Line]:
        """Return the lines that would come out the same again: same bytes, policy version and model.

        `e_tags` are those of the unsure.
        """
        stand = {}
        for source, line in self.final(lines):
            e_tag = source.e_tag or e_tags.get(source)
            said = line["source"]
            if (e_tag and e_tag == said["eTag"]) or (source.version_id and source.version_id == said["versionId"]):
                stand[source] = line
        return stand

    def in_doubt(self, lines: Sequence[Line], *, e_tags: Mapping[Source, str | None]) -> dict[Source, Line]:
        """Return the lines of the unsure of which S3 does not say whether their bytes are still there."""
        return {source: line for source, line in self.final(lines) if e_tags.get(source) == ""}

    def of_this_job(self, lines: Sequence[Line]) -> dict[Source, Line]:
        """Return the lines that an earlier try of the same batch has written: these stand, whatever they say."""
        return {source: line for line in lines if (source := self.source_of(line))}

    def final(self, lines: Sequence[Line]) -> Iterator[tuple[Source, Line]]:
        """Yield the lines by the same policy and model that would come out again, each with what it is about."""
        for line in lines:
            if self._names.belongs(line) and is_final(line):
                yield from ((source, line) for source in self._sources_of(line))

    def _sources_of(self, line: Line) -> list[Source]:
        """Return all objects that a line may be about: a list may name one with its version, and once more without."""
        key, version = line["source"]["key"], line["source"]["versionId"]
        found = (self._sources.get((key, of)) for of in dict.fromkeys((version, None)))
        return [source for source in found if source]
