"""Tests of the benchmark's arithmetic; nothing is asserted about what it measures."""
