"""Answers: what was found, in the form that a client understands. Each form has a file."""
