"""Reads the stack's settings, once.

`Pulumi.yaml` holds every setting's type, default and description; nothing is defaulted here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import get_origin, get_type_hints

import pulumi
from pulumi.runtime.config import is_config_secret

from infra.rules import first_complaint
from infra.settings import Secret, StackSettings, key_of
from infra.sign_in import region

# The secrets that are read as an object; the others are texts.
_SECRET_OBJECTS = {"authTokens"}

ROOT = Path(__file__).resolve().parent.parent
CONTEXT = ROOT / "lambda_src"


def read_settings(config: pulumi.Config, *, label_sets_dir: Path = CONTEXT / "label_sets") -> StackSettings:
    """Read and check the stack's settings.

    Raises:
        pulumi.RunError: a setting cannot be what it has to be; one sentence that names the key, its value and what
            would be right. Pulumi shows this error without a stack trace.
    """
    types = get_type_hints(StackSettings)
    values: dict[str, object] = {"name": f"{pulumi.get_project()}-{pulumi.get_stack()}".lower()}
    for field in fields(StackSettings):
        if field.name != "name":
            values[field.name] = _read(config, key_of(field.name), types[field.name])
    settings = StackSettings(**values)  # type: ignore[arg-type]  # _read gives each field its own type
    names = frozenset(path.stem for path in label_sets_dir.glob("*.json"))
    complaint = first_complaint(settings, names, region())
    if complaint:
        raise pulumi.RunError(complaint)
    return settings


def _read(config: pulumi.Config, key: str, kind: object) -> object:
    # Pulumi itself has held the values to the types that Pulumi.yaml declares.
    if kind is bool:
        return config.require_bool(key)
    if kind is int:
        return config.require_int(key)
    if kind is str:
        return config.require(key).strip()
    if kind is Secret:
        encrypted = is_config_secret(f"{config.name}:{key}")
        if key in _SECRET_OBJECTS:
            return Secret(
                output=config.require_secret_object(key), plain=config.require_object(key), encrypted=encrypted
            )
        return Secret(output=config.require_secret(key), plain=config.require(key), encrypted=encrypted)
    if get_origin(kind) is Mapping:
        return config.require_object(key)
    return tuple(config.require_object(key))
