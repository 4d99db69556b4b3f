"""Tests of what the benchmark reckons; what it measures is not asserted."""
