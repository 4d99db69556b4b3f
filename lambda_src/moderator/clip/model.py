"""Reads and checks the manifest of a model folder: all that the service must know about its model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from moderator.errors import ConfigurationError
from moderator.json_file import check, read_json
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
    convolutions: bool  # whether the image tower has any
    embedding_size: int
    context_length: int
    causal_text: bool
    logit_scale: float
    label_template: str
    preprocessing: Preprocessing

    @property
    def is_demo(self) -> bool:
        """Whether it is the model that ships with the repository, which knows coloured shapes only."""
        return self.name == "demo-shapes"


Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(gt=0)]


class _Size(BaseModel):
    model_config = ConfigDict(strict=True)

    bytes: Annotated[int, Field(ge=0)]


class _Manifest(BaseModel):
    # The manifest also holds what the export measured: that is for people.
    model_config = ConfigDict(strict=True, extra="ignore")

    name: Text
    pretrained: Text
    fingerprint: Text
    precision: Text
    convolutions: bool = True  # older exports do not say
    embedding_size: Count
    context_length: Count
    causal_text: bool
    logit_scale: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    label_template: Annotated[str, Field(pattern=r"^[^{}]*\{\}[^{}]*$")]
    image_size: Annotated[list[Count], Field(min_length=2, max_length=2)]
    resize_mode: Literal["shortest", "squash"]
    interpolation: Literal["bicubic", "bilinear"]
    files: dict[str, _Size]


_TEXT, _COUNT = "a text", "a whole number above 0"
_MUST = {
    "name": _TEXT,
    "pretrained": _TEXT,
    "fingerprint": _TEXT,
    "precision": _TEXT,
    "convolutions": "true or false",
    "embedding_size": _COUNT,
    "context_length": _COUNT,
    "causal_text": "true or false",
    "logit_scale": "a number above 0",
    "label_template": "a text with one {} for the label",
    "image_size": "[height, width] in pixels",
    "resize_mode": "shortest or squash",
    "interpolation": "bicubic or bilinear",
    "files": "an object with the size in bytes of each file",
}


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
    content = read_json(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else None
        raise ConfigurationError(
            f"{path} has format {found!r}, this version reads format {FORMAT}: export the model again."
        )
    manifest = check(path, content, _Manifest, _MUST)
    for name in sorted({*FILES, *manifest.files}):
        _check_file(folder / name, manifest.files.get(name))
    height, width = manifest.image_size
    return Model(
        folder=folder,
        name=manifest.name,
        pretrained=manifest.pretrained,
        fingerprint=manifest.fingerprint,
        precision=manifest.precision,
        convolutions=manifest.convolutions,
        embedding_size=manifest.embedding_size,
        context_length=manifest.context_length,
        causal_text=manifest.causal_text,
        logit_scale=manifest.logit_scale,
        label_template=manifest.label_template,
        preprocessing=Preprocessing(
            height=height,
            width=width,
            resize_mode=manifest.resize_mode,
            interpolation=manifest.interpolation,
        ),
    )


def _check_file(path: Path, entry: _Size | None) -> None:
    if entry is None:
        raise ConfigurationError(f"{path.parent / 'manifest.json'} does not give the size of {path.name}.")
    if not path.is_file():
        raise ConfigurationError(f"{path} is missing: export the model again.")
    if path.stat().st_size != entry.bytes:
        raise ConfigurationError(
            f"{path} has {path.stat().st_size} bytes instead of {entry.bytes}: it is half-written; "
            "export the model again."
        )
