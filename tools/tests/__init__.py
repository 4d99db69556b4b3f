"""The promises of the tools at a desk."""
