"""Draws curves as SVG, whose lines differ by dashes and names, not by colour alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

Points = Sequence[tuple[float, float]]  # each from 0 to 1

_SIDE = 240.0
_LEFT, _TOP, _RIGHT, _BOTTOM = 44.0, 14.0, 14.0, 40.0


@dataclass(frozen=True, kw_only=True)
class Line:
    """One curve."""

    name: str  # the class that styles it, and what the key says
    points: Points
    dots: bool = False  # whether its points are measured ones, to be shown


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One point that has a name."""

    name: str
    point: tuple[float, float]
    square: bool = False


def chart(
    *,
    title: str,
    x: str,
    y: str,
    lines: Iterable[Line],
    marks: Iterable[Mark] = (),
    diagonal: bool = False,
    key_at: tuple[float, float] = (0.06, 0.12),
) -> Markup:
    """Draw a square chart whose axes go from 0 to 1."""
    width, height = _LEFT + _SIDE + _RIGHT, _TOP + _SIDE + _BOTTOM
    parts = [f'<svg viewBox="0 0 {width:g} {height:g}" role="img"><title>{escape(title)}</title>']
    for step in range(6):
        at, tick = step / 5, f"{step / 5:.1f}"
        parts.append(f'<line class="grid" x1="{_x(at)}" y1="{_y(0)}" x2="{_x(at)}" y2="{_y(1)}"/>')
        parts.append(f'<line class="grid" x1="{_x(0)}" y1="{_y(at)}" x2="{_x(1)}" y2="{_y(at)}"/>')
        parts.append(f'<text x="{_x(at)}" y="{_y(0, 15)}" text-anchor="middle">{tick}</text>')
        parts.append(f'<text x="{_x(0, -6)}" y="{_y(at, 4)}" text-anchor="end">{tick}</text>')
    parts.append(f'<path class="axis" d="M{_x(0)} {_y(1)}V{_y(0)}H{_x(1)}"/>')
    parts.append(f'<text x="{_x(0.5)}" y="{_y(0, 33)}" text-anchor="middle">{escape(x)}</text>')
    parts.append(f'<text transform="translate(12 {_y(0.5)}) rotate(-90)" text-anchor="middle">{escape(y)}</text>')
    if diagonal:
        parts.append(f'<line class="ideal" x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}"/>')
    for place, line in enumerate(lines):
        parts.append(_line(line))
        parts.append(_key(line, key_at[0], key_at[1] - 0.075 * place))
    parts += [_mark(mark) for mark in marks]
    return Markup("".join([*parts, "</svg>"]))  # noqa: S704 - numbers, and texts that were escaped


def _line(line: Line) -> str:
    path = "".join(f"{'L' if place else 'M'}{_x(x)} {_y(y)}" for place, (x, y) in enumerate(line.points))
    dots = "".join(f'<circle class="{line.name}" cx="{_x(x)}" cy="{_y(y)}" r="3.5"/>' for x, y in line.points)
    return f'<path class="{line.name}" d="{path}"/>' + (dots if line.dots else "")


def _key(line: Line, x: float, y: float) -> str:
    return (
        f'<line class="{line.name}" x1="{_x(x)}" y1="{_y(y)}" x2="{_x(x + 0.12)}" y2="{_y(y)}"/>'
        f'<text x="{_x(x + 0.15)}" y="{_y(y, 4)}">{escape(line.name)}</text>'
    )


def _mark(mark: Mark) -> str:
    x, y = mark.point
    shape = (
        f'<rect class="mark" x="{_x(x, -5)}" y="{_y(y, -5)}" width="10" height="10"/>'
        if mark.square
        else f'<circle class="mark" cx="{_x(x)}" cy="{_y(y)}" r="5.5"/>'
    )
    # To the side with room; one name above, the other below, because the points are often close together.
    anchor, beside = ("end", -9) if x > 0.5 else ("start", 9)
    return shape + (
        f'<text class="name" x="{_x(x, beside)}" y="{_y(y, -7 if mark.square else 16)}" '
        f'text-anchor="{anchor}">{escape(mark.name)}</text>'
    )


def _x(share: float, more: float = 0.0) -> str:
    return f"{_LEFT + share * _SIDE + more:.2f}"


def _y(share: float, more: float = 0.0) -> str:
    return f"{_TOP + (1 - share) * _SIDE + more:.2f}"
