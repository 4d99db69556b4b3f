"""Answers: what was found, in the form that a client understands. One file a form."""
