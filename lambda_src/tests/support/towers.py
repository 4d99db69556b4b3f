"""Towers that tests put in the place of the real ones, or around them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from moderator.clip.model import Model
from moderator.clip.towers import Embeddings, ImageTower
from moderator.handler import Towers, load_towers
from moderator.pictures.preprocessing import Pixels


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
