"""What the precision of a tower is measured on: pictures, labels, and label sets made of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model_build.agreement import LABELS as VARIED_LABELS
from model_build.agreement import resized_pixels
from model_build.demo_pictures import BACKGROUNDS, COLOURS, SHAPES, draw, label
from model_build.flat_pictures import flat_pictures, padded
from model_build.photographs import photographs
from model_build.source import ExportError, Source
from moderator.clip.probabilities import softmax

LabelSets = Sequence[NDArray[np.intp]]  # of each set, its labels' places

# More than these take long and change nothing: the figures are means over them.
_MOST_PICTURES = 64
# Of the user's own: the rest are some of them between bars, and blank ones.
_MOST_OWN, _PADDED_OWN = 42, 16
_BATCH = 4
_SETS = 400
_LABELS_A_SET = 5

_SUBJECTS = (
    "a video game", "a football match", "a concert", "a person in underwear", "a fist fight", "a gun", "a flag",
    "a syringe", "blood", "a city street at night", "a mountain lake", "a plate of food", "a kitten", "a racing car",
    "a news studio", "a cartoon", "a wedding", "a swimming pool", "a chess board", "an aeroplane", "a hospital",
    "a forest fire", "a laptop on a desk", "a crowd of people", "a baby", "an empty room", "text on a white page",
)  # fmt: skip
_WORDINGS = ("{}", "a photo of {}", "a blurry screenshot of {}", "{} seen in the thumbnail of a video")


def labels() -> list[str]:
    """Labels of many lengths and subjects."""
    worded = [wording.replace("{}", subject) for subject in _SUBJECTS for wording in _WORDINGS]
    return [*VARIED_LABELS, *worded, *(label(colour, shape) for colour in COLOURS for shape in SHAPES)]


def label_sets(label_count: int) -> LabelSets:
    """Sets of labels such as clients send, drawn at random."""
    rng = np.random.default_rng(0)
    return [rng.choice(label_count, _LABELS_A_SET, replace=False) for _ in range(_SETS)]


def top_1_losses(
    exact: NDArray[np.float32], approximate: NDArray[np.float32], sets: LabelSets, logit_scale: float
) -> NDArray[np.float64]:
    """By how much the label that `approximate` finds most probable falls behind the truly most probable one.

    Args:
        exact: cosines (pictures, labels).
        approximate: the same of another form of the model.
        sets: the labels are only ever compared within a set.
        logit_scale: what the model multiplies cosines by.

    Returns:
        The difference of their `exact` probabilities, (sets, pictures); 0 where both find the same label.
    """
    losses = []
    for chosen in sets:
        probabilities = softmax(np.float32(logit_scale) * exact[:, chosen])
        found = approximate[:, chosen].argmax(axis=1)[:, np.newaxis]
        losses.append(probabilities.max(axis=1) - np.take_along_axis(probabilities, found, axis=1)[:, 0])
    return np.array(losses)


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """The pictures to measure on, and how many different photographs are in them."""

    photographs: int
    batches: Sequence[NDArray[np.uint8]]  # (pictures, height, width, 3) each, at the model's input size

    @property
    def count(self) -> int:
        """How many pictures there are, the crops of one photograph counted each."""
        return sum(map(len, self.batches))


def pictures(source: Source, folder: Path | None) -> Pictures:
    """Return what to measure a model on.

    Args:
        source: the model, which says how its pictures are prepared.
        folder: pictures of the user's own, some of them between bars too, and blank ones; else the photographs of
            `photographs.py`, whole, between bars and cut, blank pictures, and drawn ones.

    Raises:
        ExportError: the folder has no pictures, or the photographs are missing.
    """
    real = list(islice(_own_pictures(folder), _MOST_OWN)) if folder else photographs()
    kinds = _mixed_own(real) if folder else _mixed(real)
    chosen = list(islice(kinds, _MOST_PICTURES))
    pixels = [resized_pixels(source, picture) for picture in chosen]
    batches = [np.stack(pixels[start : start + _BATCH]) for start in range(0, len(pixels), _BATCH)]
    return Pictures(photographs=len(real), batches=batches)


def refuse_folder(folder: Path) -> None:
    """Judge a folder of pictures before the long work begins.

    Raises:
        ExportError: it does not exist, has no pictures, or one of those that would be used cannot be read.
    """
    for _ in islice(_own_pictures(folder), _MOST_OWN):
        pass


def _own_pictures(folder: Path) -> Iterator[Image.Image]:
    found = False
    if not folder.is_dir():
        raise ExportError(f"The samples folder {folder} does not exist.")
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp"):
            found = True
            try:
                yield Image.open(path).convert("RGB")
            except OSError as error:
                raise ExportError(f"The sample picture {path} cannot be read: {error}.") from error
    if not found:
        raise ExportError(f"The samples folder {folder} has no .jpg, .png or .webp pictures.")


def _mixed(real: Sequence[Image.Image]) -> Iterator[Image.Image]:
    """Whole photographs, padded ones, crops, the rest."""
    return _by_turns(real, padded(real), map(_middle, real), [*flat_pictures(), *_drawn()])


def _mixed_own(own: Sequence[Image.Image]) -> Iterator[Image.Image]:
    """The user's own pictures, and those on which a transformer's values are largest, which a folder may lack."""
    return _by_turns(own, _by_turns(flat_pictures(), padded(own[:_PADDED_OWN])))


def _by_turns(*kinds: Iterable[Image.Image]) -> Iterator[Image.Image]:
    """One of each kind and again, as long as there are any, so that each batch has all of them."""
    for several in zip_longest(*kinds):
        yield from (picture for picture in several if picture is not None)


def _middle(picture: Image.Image) -> Image.Image:
    """A quarter of the picture, larger: another look at the same photograph."""
    width, height = picture.size
    return picture.crop((width // 4, height // 4, width * 3 // 4, height * 3 // 4))


def _drawn() -> Iterator[Image.Image]:
    rng = np.random.default_rng(1)
    for number, (colour, shape) in enumerate((colour, shape) for shape in SHAPES[:3] for colour in COLOURS):
        yield draw(colour, shape, BACKGROUNDS[number % len(BACKGROUNDS)], rng)
