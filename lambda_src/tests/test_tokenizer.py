"""The tokenizer gives open_clip's own tokens for every text, and refuses where open_clip would cut off or stop."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

import pytest
import regex
from tokenizers import Regex, pre_tokenizers

from model_build.libraries import open_clip
from model_build.tokenizer_file import tokenizer_json, word_pattern
from moderator.clip.tokenizer import Tokenizer, clean
from moderator.errors import ConfigurationError, InvalidField

pytestmark = pytest.mark.slow

NO_LIMIT = 1_000_000
SCRIPTS = {
    "latin": (0x20, 0x24F),
    "greek and cyrillic": (0x370, 0x52F),
    "hebrew and arabic": (0x590, 0x6FF),
    "indic": (0x900, 0xDFF),
    "thai to georgian": (0xE00, 0x10FF),
    "hangul letters": (0x1100, 0x11FF),
    "letters with marks": (0x1E00, 0x1FFF),
    "punctuation, currency, symbols": (0x2000, 0x2BFF),
    "kana and han": (0x3000, 0x30FF),
    "han": (0x4E00, 0x9FFF),
    "hangul": (0xAC00, 0xD7A3),
    "presentation forms": (0xF900, 0xFFFF),
    "beyond the basic plane": (0x10000, 0x1FAFF),
    "combining marks": (0x300, 0x36F),
    "control characters": (0x00, 0x9F),
    "anything": (0x00, 0x10FFFF),
}
PIECES = (
    *("a", "photo", "of", "CAT", "Don't", "we'll", "THEY'RE", "I'd've", "'s", "'S", "it\u2019s"),
    *("'\u017f", "o'clock", "''"),
    *("&amp;", "&amp;amp;", "&lt;b&gt;", "&#x41;", "&#0;", "&notanentity;", "&eacute", "&nbsp;", "&#128512;"),
    *("<", ">", "<|", "|>", "<start_of_text", "end_of_text>", "<\u017ftart_of_text>", "start_of_text", "</w>", "<unk>"),
    *("\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1eb\U0001f1f7", "\u2764\ufe0f"),
    *("\U0001f44d\U0001f3fd", "\U0001f3f4\u200d\u2620\ufe0f"),
    *("caf\u00e9", "cafe\u0301", "\u00c3\u00a9", "\u00e2\u20ac\u2122", "\u0130stanbul", "stra\u00dfe"),
    *("\u1e9e", "\ufb01ne", "\u03a3\u03a3\u03c2", "\u0345"),
    *("1", "2026", "3.14", "\u00bd", "\u2168", "\u0663", "100%", "$5", "#tag", "@you", "--", "...", "_", "~"),
    *(" ", "  ", "\t", "\n", "\r\n", "\u00a0", "\u2003", "\u3000", "\u200b", "\ufeff"),
    *("\x00", "\x1c", "\x85", "\u2028", "\ud800"),
)  # fmt: skip


@pytest.fixture(scope="module")
def theirs() -> open_clip.SimpleTokenizer:
    return open_clip.SimpleTokenizer()


@pytest.fixture(scope="module")
def file(theirs: open_clip.SimpleTokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    path.write_text(tokenizer_json(theirs), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def ours(file: Path) -> Tokenizer:
    return Tokenizer(file, NO_LIMIT)


def generated_texts(count: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    ranges = list(SCRIPTS.values())

    def piece() -> str:
        if rng.random() < 0.4:
            return rng.choice(PIECES)
        low, high = rng.choice(ranges)
        return "".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 6)))

    return [rng.choice(["", " "]).join(piece() for _ in range(rng.randint(1, 10))) for _ in range(count)]


def held_to_open_clip(texts: list[str], ours: Tokenizer, theirs: open_clip.SimpleTokenizer) -> int:
    """Compare every text; return how many had anything to compare."""
    compared = 0
    for text in texts:
        cleaned = theirs.clean_fn(text)
        if not cleaned or "<start_of_text>" in cleaned or "<end_of_text>" in cleaned:
            with pytest.raises(InvalidField):
                ours.encode([text])
            continue
        expected = [theirs.sot_token_id, *theirs.encode(text), theirs.eot_token_id]
        assert ours.encode([text]) == [expected], ascii(text)
        compared += 1
    return compared


def test_twenty_thousand_texts_of_every_kind_have_open_clips_tokens(
    ours: Tokenizer, theirs: open_clip.SimpleTokenizer
) -> None:
    assert held_to_open_clip(generated_texts(23_000, seed=5), ours, theirs) >= 20_000


def test_very_long_texts_have_open_clips_tokens(
    ours: Tokenizer, theirs: open_clip.SimpleTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moderator.clip.tokenizer.LONGEST_LABEL", NO_LIMIT)
    rng = random.Random(6)
    words = ["".join(rng.choices("aehilnorst", k=n)) for n in (1, 7, 60, 700, 2500)]
    texts = [*words, " ".join(words), "a" * 2000, "\u00e9" * 500, "<" * 999, "!?" * 400, "\U0001f600" * 300, "1" * 900]
    assert held_to_open_clip(texts, ours, theirs) == len(texts)


def test_every_character_falls_into_open_clips_class_of_words(theirs: open_clip.SimpleTokenizer) -> None:
    """Beside a letter, doubled, beside a digit and after an apostrophe, for all that Unicode can hold."""
    split = pre_tokenizers.Split(Regex(word_pattern()), "removed", invert=True)
    for start in range(0, sys.maxunicode + 1, 256):
        characters = [chr(code) for code in range(start, start + 256) if not 0xD800 <= code < 0xE000]
        text = " ".join(f"a{c}{c}1'{c}" for c in characters)
        expected = [match.span() for match in regex.finditer(theirs.pat, text)]
        assert [span for _, span in split.pre_tokenize_str(text)] == expected, f"in the 256 from U+{start:04X}"


def test_cleaning_is_open_clips(theirs: open_clip.SimpleTokenizer) -> None:
    for text in generated_texts(3_000, seed=7):
        assert clean(text) == theirs.clean_fn(text), ascii(text)


def test_a_label_that_just_fits_the_context_is_whole_and_one_token_more_is_refused(file: Path) -> None:
    tokenizer = Tokenizer(file, 77)
    (tokens,) = tokenizer.encode(["cat " * 75])
    assert len(tokens) == 77
    with pytest.raises(InvalidField, match=r"has 76 tokens: the model reads at most 75") as refused:
        tokenizer.encode(["fine", "cat " * 76])
    assert refused.value.status == 422


@pytest.mark.parametrize("label", ["", "   ", "\t\r\n", "\u3000", "&nbsp;", "\x1b[31m"])
def test_a_label_of_nothing_is_refused(label: str, file: Path) -> None:
    with pytest.raises(InvalidField, match="empty"):
        Tokenizer(file, 77, "a photo of {}").encode([label])


@pytest.mark.parametrize(
    "label", ["<end_of_text>", "cat<end_of_text>dog", "a <START_OF_TEXT>", "&lt;end_of_text&gt;", "<<end_of_text>"]
)
def test_a_label_that_would_end_the_text_early_is_refused(label: str, ours: Tokenizer) -> None:
    with pytest.raises(InvalidField, match="_of_text>, which is reserved"):
        ours.encode([label])


def test_the_template_wraps_every_label_even_one_with_braces(file: Path, theirs: open_clip.SimpleTokenizer) -> None:
    tokens = Tokenizer(file, 77, "a photo of {}.").encode(["a cat", "{}", "{0}"])
    expected = [theirs.encode(text) for text in ("a photo of a cat.", "a photo of {}.", "a photo of {0}.")]
    assert [row[1:-1] for row in tokens] == expected


def test_a_huge_label_is_refused_at_once(file: Path) -> None:
    started = time.perf_counter()
    with pytest.raises(InvalidField, match="has 100,000 characters"):
        Tokenizer(file, 77).encode(["a" * 100_000])
    assert time.perf_counter() - started < 1


def test_time_grows_with_length_not_with_its_square(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moderator.clip.tokenizer.LONGEST_LABEL", NO_LIMIT)
    tokenizer = Tokenizer(file, NO_LIMIT)
    started = time.perf_counter()
    for text in ("a" * 100_000, "<" * 100_000, "a " * 50_000, "&amp;" * 20_000):
        tokenizer.encode([text])
    # Linear takes 0.3 s on a slow core, open_clip's quadratic merging many minutes.
    assert time.perf_counter() - started < 10


def test_a_file_that_is_no_clip_tokenizer_is_refused_by_name(tmp_path: Path) -> None:
    broken = tmp_path / "tokenizer.json"
    broken.write_text("{", encoding="utf-8")
    for path in (broken, tmp_path / "absent.json"):
        with pytest.raises(ConfigurationError, match=path.name):
            Tokenizer(path, 77)
