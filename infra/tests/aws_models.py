"""What AWS itself says of a call: botocore's models of its services, names, types, bounds, patterns, enums.

botocore's own validator asks for less: it knows neither patterns nor enums nor what is too large.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import regex
from botocore.loaders import Loader
from botocore.model import ServiceModel, Shape

_NUMBERS = {"integer", "long", "float", "double"}


def faults(service: str, operation: str, given: Mapping[str, Any]) -> list[str]:
    """List what is wrong with a call, each fault with its place; `given` is as Pulumi writes it, names in any case."""
    shape = _service(service).operation_model(operation).input_shape
    return list(_of(shape, given, operation))


@cache
def _service(name: str) -> ServiceModel:
    return ServiceModel(Loader().load_service_model(name, "service-2"), name)


def _of(shape: Shape, given: Any, place: str) -> Iterator[str]:
    match shape.type_name:
        case "structure":
            yield from _of_structure(shape, given, place)
        case "list":
            if not isinstance(given, list):
                yield f"{place} must be a list"
                return
            yield from _of_bounds(shape, len(given), place)
            for number, item in enumerate(given):
                yield from _of(shape.member, item, f"{place}[{number}]")
        case "map":
            yield from _of_bounds(shape, len(given), place)
            for key, value in given.items():
                yield from _of(shape.key, key, f"{place} {key!r}")
                yield from _of(shape.value, value, f"{place}.{key}")
        case "string":
            yield from _of_text(shape, given, place)
        case "boolean":
            if not isinstance(given, bool):
                yield f"{place} must be true or false"
        case name if name in _NUMBERS:
            if isinstance(given, bool) or not isinstance(given, int | float):
                yield f"{place} must be a number"
            elif name in {"integer", "long"} and given != int(given):
                yield f"{place} must be whole"
            else:
                yield from _of_bounds(shape, given, place)


def _of_structure(shape: Shape, given: Any, place: str) -> Iterator[str]:
    if not isinstance(given, Mapping):
        yield f"{place} must be a structure"
        return
    members = {name.lower(): name for name in shape.members}
    found = {members[key.lower()]: value for key, value in given.items() if key.lower() in members}
    yield from (f"{place} has no {key}" for key in given if key.lower() not in members)
    yield from (f"{place} lacks {name}" for name in shape.required_members if name not in found)
    for name, value in found.items():
        member = shape.members[name]
        yield from _of(member, _tags(member, value) if name.lower() == "tags" else value, f"{place}.{name}")


def _tags(shape: Shape, given: Mapping[str, str]) -> Any:
    if shape.type_name == "map":
        return given
    return [{"key": key, "value": value} for key, value in given.items()]


def _of_text(shape: Shape, given: Any, place: str) -> Iterator[str]:
    if not isinstance(given, str):
        yield f"{place} must be a text"
        return
    yield from _of_bounds(shape, len(given), place)
    if shape.enum and given not in shape.enum:
        yield f"{place} is {given!r}: it must be one of {shape.enum}"
    pattern = shape.metadata.get("pattern")
    if pattern and not regex.fullmatch(pattern, given, flags=regex.DOTALL):
        yield f"{place} is {given!r}: it must match {pattern}"


def _of_bounds(shape: Shape, size: float, place: str) -> Iterator[str]:
    if size < shape.metadata.get("min", size):
        yield f"{place} is {size}: it must be {shape.metadata['min']} at least"
    if size > shape.metadata.get("max", size):
        yield f"{place} is {size}: it must be {shape.metadata['max']} at most"
