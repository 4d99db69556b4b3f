"""Reads and checks the manifest of a model folder: all that the service must know about its model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from moderator.errors import ConfigurationError
from moderator.pictures.preprocessing import Preprocessing

FORMAT = 1
FILES = ("image.onnx", "text.onnx", "tokenizer.json")


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model folder whose files are all there; the towers load them when they are needed."""

    folder: Path
    name: str
    pretrained: str
    fingerprint: str
    precision: str
    embedding_size: int
    context_length: int
    causal_text: bool
    logit_scale: float
    label_template: str
    preprocessing: Preprocessing


def read_model(folder: Path) -> Model:
    """Read `folder/manifest.json` and check that the files it names are there in full.

    The files' sizes are compared, not their hashes: hashing 350 MB at every start would cost more than loading them.

    Raises:
        ConfigurationError: the folder is missing, half-written, of another version, or its manifest is not valid.
    """
    path = folder / "manifest.json"
    if not folder.is_dir():
        raise ConfigurationError(f"The model folder {folder} does not exist: `make model` writes one.")
    if not path.is_file():
        raise ConfigurationError(f"The model folder {folder} has no manifest.json: its export did not finish.")
    try:
        manifest = json.loads(path.read_bytes())
    except ValueError as error:
        raise ConfigurationError(f"{path} is not JSON ({error}): export the model again.") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        found = manifest.get("format") if isinstance(manifest, dict) else None
        raise ConfigurationError(
            f"{path} has format {found!r}, this version reads format {FORMAT}: export the model again."
        )
    fields = _Fields(path, manifest)
    for name in FILES:
        _check_file(folder / name, fields.mapping("files").get(name))
    height, width = fields.image_size()
    return Model(
        folder=folder,
        name=fields.text("name"),
        pretrained=fields.text("pretrained"),
        fingerprint=fields.text("fingerprint"),
        precision=fields.text("precision"),
        embedding_size=fields.count("embedding_size"),
        context_length=fields.count("context_length"),
        causal_text=fields.flag("causal_text"),
        logit_scale=fields.positive("logit_scale"),
        label_template=fields.template("label_template"),
        preprocessing=Preprocessing(
            height=height,
            width=width,
            resize_mode=fields.choice("resize_mode", "shortest", "squash"),  # type: ignore[arg-type]
            interpolation=fields.choice("interpolation", "bicubic", "bilinear"),  # type: ignore[arg-type]
        ),
    )


def _check_file(path: Path, entry: object) -> None:
    size = entry.get("bytes") if isinstance(entry, dict) else None
    if not isinstance(size, int):
        raise ConfigurationError(f"{path.parent / 'manifest.json'} does not give the size of {path.name}.")
    if not path.is_file():
        raise ConfigurationError(f"{path} is missing: export the model again.")
    if path.stat().st_size != size:
        raise ConfigurationError(
            f"{path} has {path.stat().st_size} bytes instead of {size}: it is half-written; export the model again."
        )


class _Fields:
    """The manifest's fields, each checked for its kind as it is read."""

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self._path = path
        self._manifest = manifest

    def text(self, name: str) -> str:
        match self._get(name):
            case str(value) if value:
                return value
        self._refuse(name, "a text")

    def template(self, name: str) -> str:
        value = self.text(name)
        if value.count("{}") == 1:
            return value
        self._refuse(name, "a text with one {} for the label")

    def choice(self, name: str, *choices: str) -> str:
        value = self.text(name)
        if value in choices:
            return value
        self._refuse(name, " or ".join(choices))

    def count(self, name: str) -> int:
        match self._get(name):
            case int(value) if value > 0 and value is not True:
                return value
        self._refuse(name, "a whole number above 0")

    def positive(self, name: str) -> float:
        match self._get(name):
            case int(value) | float(value) if 0 < value < float("inf") and value is not True:
                return float(value)
        self._refuse(name, "a number above 0")

    def flag(self, name: str) -> bool:
        match self._get(name):
            case bool(value):
                return value
        self._refuse(name, "true or false")

    def mapping(self, name: str) -> dict[str, Any]:
        match self._get(name):
            case dict(value):
                return value
        self._refuse(name, "an object")

    def image_size(self) -> tuple[int, int]:
        match self._get("image_size"):
            case [int(height), int(width)] if height > 0 and width > 0:
                return height, width
        self._refuse("image_size", "[height, width] in pixels")

    def _get(self, name: str) -> object:
        return self._manifest.get(name)

    def _refuse(self, name: str, expected: str) -> NoReturn:
        raise ConfigurationError(f"{self._path}: {name} is {self._get(name)!r}, it must be {expected}.")
