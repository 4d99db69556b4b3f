"""Counting for Graviton2 under emulation: `make bench-arm`."""
