"""Turns labels into the text tower's tokens, exactly as open_clip's own tokenizer does.

Cleaning happens here, in Python, with the very functions that open_clip calls; splitting into words and byte-pair
encoding are `tokenizers`', from the file that the export wrote. Unlike open_clip, nothing is cut off and no control
token is obeyed: a label that does not fit, or that would end the text early, is refused.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer as Encoder

from moderator.errors import ConfigurationError, InvalidField
from moderator.label_text import LONGEST_LABEL

START, END = "<start_of_text>", "<end_of_text>"


class Tokenizer:
    """open_clip's byte-pair tokenizer for labels."""

    def __init__(self, path: Path, context_length: int, label_template: str = "{}") -> None:
        """Read the model folder's tokenizer.json at `path`; `{}` in `label_template` stands for the label.

        Raises:
            ConfigurationError: the file is missing, or is not a tokenizer with CLIP's control tokens.
        """
        try:
            self._encoder = Encoder.from_file(str(path))
        except Exception as error:  # `tokenizers` raises nothing narrower
            raise ConfigurationError(f"{path} cannot be read as a tokenizer: {error}") from error
        start, end = self._encoder.token_to_id(START), self._encoder.token_to_id(END)
        if start is None or end is None:
            raise ConfigurationError(f"{path} has no {START} and {END}: it is not a CLIP tokenizer.")
        self._start: int = start
        self._end: int = end
        self._context_length = context_length
        self._label_template = label_template

    def encode(self, labels: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each label, with the start and the end token, not padded.

        Raises:
            InvalidField: a label is empty once cleaned, does not fit the context, or holds a control token.
        """
        # One by one, not as a batch: once a label is refused, those after it cost nothing.
        return [self._encode_label(label) for label in labels]

    def _encode_label(self, label: str) -> list[int]:
        ids = self._encoder.encode(self._clean_label(label), add_special_tokens=False).ids
        if len(ids) + 2 > self._context_length:
            raise self._too_long(label, f"has {len(ids):,} tokens")
        return [self._start, *ids, self._end]

    def _clean_label(self, label: str) -> str:
        if len(label) > LONGEST_LABEL:
            raise self._too_long(label, f"has {len(label):,} characters")
        if not clean(label):
            raise InvalidField(f"The label {label!r} is empty once white space is removed: give it words.")
        text = clean(self._label_template.replace("{}", label))
        for control in (START, END):
            if control in text:
                # open_clip would read the text only up to it, and say nothing.
                raise InvalidField(f"The label {_shortened(label)} holds {control}, which is reserved: leave it out.")
        return text

    def _too_long(self, label: str, measure: str) -> InvalidField:
        return InvalidField(
            f"The label {_shortened(label)} {measure}: the model reads at most {self._context_length - 2} tokens. "
            "Labels are never cut off; shorten it."
        )


def clean(text: str) -> str:
    """Repair, unescape, lower: the same steps in the same order as open_clip's `_clean_lower`."""
    # Imported here: it takes 70 ms, and a process whose labels are all cached never tokenises.
    import ftfy

    text = html.unescape(html.unescape(ftfy.fix_text(text))).strip()
    return " ".join(text.split()).lower()


def _shortened(label: str) -> str:
    return repr(label if len(label) <= 60 else f"{label[:57]}...")
