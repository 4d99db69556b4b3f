"""What can be wrong."""


class ConfigurationError(Exception):
    """A variable of the environment cannot be what it has to be."""
