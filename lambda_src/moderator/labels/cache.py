"""The label cache asks, in this order: what was precomputed, this process, the store, the text tower.

When time runs out, what was computed so far is kept.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from moderator.clip.towers import Embeddings, TextTower
from moderator.errors import OutOfTime, WarmUpError
from moderator.labels.store import Embedding, LabelStore

# A warm-up is not a request: it may wait for a store that is only just starting.
_WARM_UP_SECONDS = 5.0
# The share of the time left, when labels must be computed, that is kept for the pictures: they come after the labels.
_FOR_PICTURES = 0.1
# What was done is kept, so the next request may come at once.
_RETRY_AFTER_SECONDS = 1


@dataclass(frozen=True, kw_only=True)
class LabelSources:
    """How many of a request's labels came from where."""

    precomputed: int = 0
    memory: int = 0
    store: int = 0
    computed: int = 0


@dataclass(frozen=True, kw_only=True)
class LabelEmbeddings:
    """The embeddings of a request's labels, and where they came from."""

    matrix: Embeddings  # (labels, dim), in the order asked
    sources: LabelSources


@dataclass(frozen=True, kw_only=True)
class WarmUp:
    """What a warm-up did."""

    labels: int
    stored: int
    computed: int
    ms: float


class LabelCache:
    """Finds the embedding of each label, computing only what nobody has computed before."""

    def __init__(
        self,
        text_tower: TextTower,
        store: LabelStore | None,
        *,
        memory_labels: int,
        precomputed: Mapping[str, Embedding] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._text_tower = text_tower
        self._store = store
        self._memory_labels = memory_labels
        self._precomputed = precomputed or {}
        self._memory: OrderedDict[str, Embedding] = OrderedDict()
        # The matrices of whole requests, for those that repeat: stacking 1000 rows again would take longer than the
        # softmax. Beside each, how many of its rows were precomputed.
        self._stacks: OrderedDict[tuple[str, ...], tuple[Embeddings, int]] = OrderedDict()
        self._stacked_rows = 0
        self._clock = clock
        # How fast the text tower was with its last batch; 0 before there was one.
        self._seconds_per_token = 0.0

    def embed(
        self, labels: Sequence[str], until: float | None = None, *, awaits_loading: bool = True
    ) -> LabelEmbeddings:
        """Find the embeddings of `labels`, which are all different.

        `until` is the moment, in seconds of the monotonic clock, by which the request's answer is needed. Where the
        text tower takes longer than that to load, only a caller that does not await loading is told in time.

        Raises:
            InvalidField: a label that had to be computed cannot be (too long for the model's context, say).
            OutOfTime: there is no time to compute all labels; those that were computed are kept.
        """
        asked = tuple(labels)
        stack = self._stacks.get(asked)
        if stack is not None:
            self._stacks.move_to_end(asked)
            matrix, precomputed = stack
            sources = LabelSources(precomputed=precomputed, memory=len(asked) - precomputed)
            return LabelEmbeddings(matrix=matrix, sources=sources)

        found = {label: self._precomputed[label] for label in asked if label in self._precomputed}
        precomputed = len(found)
        found.update(self._from_memory(asked))
        memory = len(found) - precomputed
        missing = [label for label in asked if label not in found]
        if missing and self._store is not None:
            allowance = self._store.allowance()
            found.update(self._store.read(missing, allowance))
            missing = [label for label in missing if label not in found]
        stored = len(found) - memory - precomputed

        def keep(computed: Mapping[str, Embedding]) -> None:
            found.update(computed)
            self._remember(computed)
            if self._store is not None:
                self._store.write(computed, allowance)

        can_begin = awaits_loading or not missing or until is None or self._text_tower.load(until - self._clock())
        if not (can_begin and self._compute(missing, keep, until)):
            raise OutOfTime(done=len(found), labels=len(asked), retry_after=_RETRY_AFTER_SECONDS)

        matrix = np.stack([found[label] for label in asked])
        self._remember(
            {
                label: embedding
                for label, embedding in found.items()
                if label not in self._precomputed and label not in self._memory
            }
        )
        self._remember_stack(asked, matrix, precomputed)
        sources = LabelSources(precomputed=precomputed, memory=memory, store=stored, computed=len(missing))
        return LabelEmbeddings(matrix=matrix, sources=sources)

    def warm(self, labels: Sequence[str]) -> WarmUp:
        """Put the embeddings of `labels` into the store, computing those that it lacks; renew the others' time to live.

        Raises:
            WarmUpError: there is no store, or it did not take them.
            InvalidField: a label cannot be computed.
        """
        if self._store is None:
            raise WarmUpError("There is no store to warm: set CACHE_URL.")
        began = time.perf_counter()
        asked = list(dict.fromkeys(labels))
        try:
            found = self._store.read_and_renew(asked, _WARM_UP_SECONDS)
        except Exception as error:
            raise WarmUpError(f"The store could not be read: {error}") from error
        missing = [label for label in asked if label not in found]
        store = self._store

        def keep(computed: Mapping[str, Embedding]) -> None:
            try:
                store.write_or_raise(computed, _WARM_UP_SECONDS)
            except Exception as error:
                raise WarmUpError(f"The store did not take {len(computed)} embeddings: {error}") from error

        self._compute(missing, keep, until=None)
        return WarmUp(
            labels=len(asked),
            stored=len(found),
            computed=len(missing),
            ms=round((time.perf_counter() - began) * 1000, 1),
        )

    def _compute(
        self, labels: Sequence[str], keep: Callable[[Mapping[str, Embedding]], None], until: float | None
    ) -> bool:
        """Embed `labels` batch by batch and hand each to `keep` when it is done; return whether there was time for all.

        Raises:
            InvalidField: a label cannot be computed; then none is.
        """
        batches = self._text_tower.batches(labels) if labels else []
        left = 0.0 if until is None else until - self._clock()
        for batch in batches:
            began = self._clock()
            if until is not None and began + batch.tokens.size * self._seconds_per_token > until - left * _FOR_PICTURES:
                if batch is batches[0]:
                    # A pace that leaves no time for any batch may come from one slow moment: measure it again.
                    self._seconds_per_token = 0.0
                return False
            rows = self._text_tower.embed_batch(batch)
            self._seconds_per_token = (self._clock() - began) / batch.tokens.size
            keep({labels[place]: row for place, row in zip(batch.places, rows, strict=True)})
        return True

    def _from_memory(self, labels: Sequence[str]) -> dict[str, Embedding]:
        found = {}
        for label in labels:
            embedding = self._memory.get(label)
            if embedding is not None:
                self._memory.move_to_end(label)
                found[label] = embedding
        return found

    def _remember(self, embeddings: Mapping[str, Embedding]) -> None:
        for label, row in embeddings.items():
            # A copy: a view of one row would keep its whole matrix alive.
            self._memory[label] = row.copy()
        while len(self._memory) > self._memory_labels:
            self._memory.popitem(last=False)

    def _remember_stack(self, asked: tuple[str, ...], matrix: Embeddings, precomputed: int) -> None:
        self._stacks[asked] = matrix, precomputed
        self._stacked_rows += len(asked)
        while self._stacked_rows > self._memory_labels and self._stacks:
            oldest, _ = self._stacks.popitem(last=False)
            self._stacked_rows -= len(oldest)
