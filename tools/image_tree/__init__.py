"""The image's files without a container engine: `python -m tools.image_tree`."""
