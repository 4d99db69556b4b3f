"""What a label may be, wherever it comes from: a request, a label set, a policy, or the text tower's own caller."""

from __future__ import annotations

# In characters. A longer label fits into no CLIP's context, and would take long to clean and tokenise.
LONGEST_LABEL = 2000


def fault_of(text: str) -> str | None:
    """Return what is wrong with a label or a category, in words that follow its name; None where nothing is."""
    if not text.strip():
        return "is empty: it must say what to look for"
    if len(text) > LONGEST_LABEL:
        return f"has {len(text):,} characters: at most {LONGEST_LABEL:,} are allowed"
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        return "has half a surrogate pair (such as \\ud83d alone): send whole characters"
    return None
