"""The words that the demo model learns: many ways to say a colour, a shape, or both."""

from __future__ import annotations

from collections.abc import Sequence

from model_build.demo_pictures import COLOURS, SHAPES, label

BOTH = (
    "{a}",
    "{bare}",
    "the {bare}",
    "one {bare}",
    "a photo of {a}",
    "a picture of {a}",
    "a drawing of {a}",
    "an image of {a}",
    "this is {a}",
    "{a} on a background",
    "{shape_a} that is {colour}",
    "{shape_a} in {colour}",
    "{shape_a} coloured {colour}",
)
COLOUR_ONLY = (
    "{colour}",
    "something {colour}",
    "the colour {colour}",
    "a {colour} shape",
    "a picture of something {colour}",
)
SHAPE_ONLY = (
    "{shape_a}",
    "{shape}",
    "the {shape}",
    "a picture of {shape_a}",
    "a photo of {shape_a}",
    "a drawing of {shape_a}",
)


def combinations() -> list[tuple[str, str]]:
    """Return every (colour, shape), in the order of their labels."""
    return [(colour, shape) for colour in COLOURS for shape in SHAPES]


def labels() -> list[str]:
    """Return the labels that the model is judged by, such as "a red circle": one a combination, in that order."""
    return [label(colour, shape) for colour, shape in combinations()]


def spell(wordings: Sequence[str], colour: str = "", shape: str = "") -> list[str]:
    """Return every wording of one colour, one shape, or both."""
    return [
        wording.format(
            a=label(colour, shape) if colour else "",
            bare=f"{colour} {shape}",
            colour=colour,
            shape=shape,
            shape_a=f"{'an' if shape[:1] == 'a' else 'a'} {shape}",
        )
        for wording in wordings
    ]
