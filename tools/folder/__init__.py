"""Judges a folder of pictures by a policy: `make moderate`."""
