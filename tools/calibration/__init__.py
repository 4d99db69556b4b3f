"""Thresholds from labelled pictures, and a report: `make calibrate`; several models on the same: `make compare`."""
