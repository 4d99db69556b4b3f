"""The stack: one Pulumi component a file, in dependency order."""
