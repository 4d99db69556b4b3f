"""Writes open_clip's byte-pair tokenizer as a `tokenizers` file that splits and merges exactly as open_clip does.

Cleaning (ftfy, HTML entities, white space, lower case) is not in the file: the runtime does it first, with the same
functions as open_clip. What is left to agree on is the pattern that splits a text into words. open_clip compiles it
with the `regex` module, `tokenizers` with Oniguruma; each has its own Unicode tables, of different versions. So the
classes are written out here, character by character as `regex` has them, and nothing is left to the other's tables.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache

import regex

from model_build.libraries import open_clip

_SURROGATES = range(0xD800, 0xE000)  # halves of characters, which no valid text holds
_EVERY_CHARACTER = "".join(chr(code) for code in range(0x110000) if code not in _SURROGATES)
_CONTRACTIONS = ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d")
_CONTROL_TOKENS = ("<start_of_text>", "<end_of_text>")


def tokenizer_json(tokenizer: open_clip.SimpleTokenizer) -> str:
    """Return open_clip's `tokenizer` as a `tokenizers` file, in compact JSON."""
    merges = sorted(tokenizer.bpe_ranks, key=tokenizer.bpe_ranks.__getitem__)
    return json.dumps(
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [],
            "normalizer": None,
            "pre_tokenizer": {
                "type": "Sequence",
                "pretokenizers": [
                    # Inverted: what matches is kept, and white space, which never matches, is removed.
                    {"type": "Split", "pattern": {"Regex": word_pattern()}, "behavior": "Removed", "invert": True},
                    {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False},
                ],
            },
            "post_processor": None,
            "decoder": None,
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": None,
                "continuing_subword_prefix": None,
                "end_of_word_suffix": "</w>",
                "fuse_unk": False,
                "byte_fallback": False,
                "ignore_merges": False,
                "vocab": tokenizer.encoder,
                "merges": [" ".join(pair) for pair in merges],
            },
        },
        ensure_ascii=False,
        separators=(",", ":"),
    )


def word_pattern() -> str:
    """Return open_clip's `SimpleTokenizer.pat`, with every class and every case variant written out."""
    letters, digits, others = _class(r"[\p{L}]"), _class(r"[\p{N}]"), _class(r"[^\s\p{L}\p{N}]")
    literal = ["".join(_class(c) if c.isalpha() else c for c in word) for word in (*_CONTROL_TOKENS, *_CONTRACTIONS)]
    return "|".join([*literal, f"{letters}+", digits, f"{others}+"])


@cache
def _class(pattern: str) -> str:
    """A class of all characters that `pattern`, which matches single ones, matches in open_clip's tokenizer.

    Case is ignored there, in classes too: U+0345, a combining mark, counts as the letter that its capital is.
    """
    return f"[{_ranges(regex.findall(pattern, _EVERY_CHARACTER, regex.IGNORECASE))}]"


def _ranges(characters: Iterable[str]) -> str:
    """The inside of a character class that holds these characters, in rising order, and no others."""
    codes = [ord(character) for character in characters]
    parts = []
    first = last = codes[0]
    for code in codes[1:]:
        if code == last + 1:
            last = code
            continue
        parts.append((first, last))
        first = last = code
    parts.append((first, last))
    return "".join(f"\\x{{{a:x}}}" if a == b else f"\\x{{{a:x}}}-\\x{{{b:x}}}" for a, b in parts)
