"""Reads a JSON file of the service's own - a manifest, a label set - and checks it against a pydantic model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from moderator import strict_json
from moderator.errors import ConfigurationError

Model = TypeVar("Model", bound=BaseModel)


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        ConfigurationError: it is not JSON, or has a key twice; names the file.
    """
    try:
        return strict_json.loads(path.read_bytes())
    except strict_json.RepeatedKeyError as error:
        raise ConfigurationError(f"{path}: {error}.") from error
    except ValueError as error:
        raise ConfigurationError(f"{path} is not JSON in UTF-8: {error}.") from error


def check(path: Path, content: Any, model: type[Model], must: Mapping[str, str]) -> Model:
    """Check what `path` holds.

    Args:
        path: for the message only.
        content: the parsed JSON.
        model: what it is checked against.
        must: what each field must be, as the end of a sentence; the empty name stands for the whole.

    Raises:
        ConfigurationError: names the file, the field and what would be right.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        # Each member of a union reports its own error: the one that got furthest was meant.
        first = max(error.errors(include_url=False), key=lambda one: len(one["loc"]))
    if not first["loc"]:
        raise ConfigurationError(f"{path} must hold {must['']}.")
    field, *steps = first["loc"]
    if first["type"] == "extra_forbidden":
        raise ConfigurationError(f"{path}: {field!r} is not a field: the fields are {', '.join(model.model_fields)}.")
    if first["type"] == "missing":
        raise ConfigurationError(f"{path}: {field} must be {must[str(field)]}; it is missing.")
    # pydantic counts a union's member as a step; a reader wants only places in a list and keys.
    where = "".join(f"[{step!r}]" for step in steps if isinstance(step, int) or step in _keys(content, field))
    raise ConfigurationError(f"{path}: {field}{where} is {first['input']!r}: {field} must be {must[str(field)]}.")


def _keys(content: Any, field: str | int) -> Any:
    return content[field] if isinstance(content, dict) and isinstance(content.get(field), dict) else ()
