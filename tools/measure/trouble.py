"""What stops a measurement, in a sentence for whoever started it."""

from __future__ import annotations


class Trouble(Exception):
    """Nothing can be measured, or a part of it cannot; says why, and what to do."""
