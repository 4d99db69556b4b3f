"""A deployed stack measured from a desk: `make measure`."""
