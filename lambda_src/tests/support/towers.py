"""Towers that tests put in the place of the real ones, or around them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from moderator.clip.model import Model
from moderator.clip.towers import Embeddings, ImageTower, TextBatch, TextTower
from moderator.handler import Towers, load_towers
from moderator.pictures.preprocessing import Pixels

LOADING_SECONDS = 4.0


class FailingTower(ImageTower):
    """An image tower with a bug."""

    def embed(self, pictures: Sequence[Pixels]) -> Embeddings:
        """Fail, and mention what no client may see."""
        raise ZeroDivisionError("a bug, and a path of the machine")


class CountingTower(ImageTower):
    """The real image tower, which counts the pictures that it is given, and keeps the last ones."""

    def __init__(self, model: Model, *, threads: int) -> None:
        super().__init__(model, threads=threads)
        self.pictures = 0
        self.last: Sequence[Pixels] = ()

    def embed(self, pictures: Sequence[Pixels]) -> Embeddings:
        """Count and embed."""
        self.pictures += len(pictures)
        self.last = pictures
        return super().embed(pictures)


class SlowTower(TextTower):
    """The real text tower, on a machine on which a thousand labels of full length take two seconds at least."""

    def embed_batch(self, batch: TextBatch) -> Embeddings:
        """Take a while longer."""
        time.sleep(0.1)
        return super().embed_batch(batch)


def slow(model: Model, threads: int) -> Towers:
    """Load towers whose text tower is slow."""
    return Towers(image=load_towers(model, threads).image, text=SlowTower(model, threads=threads))


class LateTower(TextTower):
    """The real text tower, on a machine on which loading it takes seconds."""

    def open_session(self) -> Any:
        """Take a while longer."""
        time.sleep(LOADING_SECONDS)
        return super().open_session()


def late(model: Model, threads: int) -> Towers:
    """Load towers whose text tower takes seconds to load."""
    return Towers(image=load_towers(model, threads).image, text=LateTower(model, threads=threads))


def failing(model: Model, threads: int) -> Towers:
    """Load towers whose image tower fails."""
    return Towers(image=FailingTower(model, threads=threads), text=load_towers(model, threads).text)


class Loader:
    """Loads the real towers, and keeps them for the test to look at."""

    def __init__(self) -> None:
        self.towers: Towers | None = None

    def __call__(self, model: Model, threads: int) -> Towers:
        """Load towers whose image tower counts."""
        text = load_towers(model, threads).text
        self.towers = Towers(image=CountingTower(model, threads=threads), text=text)
        return self.towers

    @property
    def text(self) -> Any:
        """The text tower."""
        assert self.towers is not None
        return self.towers.text

    @property
    def pictures(self) -> int:
        """How many pictures, or parts of pictures, went through the image tower."""
        assert self.towers is not None
        assert isinstance(self.towers.image, CountingTower)
        return self.towers.image.pictures
