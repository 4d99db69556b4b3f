"""Policies: what to look for, how to score it, and what to do about it. Pure: no HTTP, no store, no pictures.

In reading order: `policy.py` is the value, `form.py` its JSON, `mistake.py` the sentences about wrong JSON, `file.py`
reads folders and requests, `score.py` turns cosines into scores, `verdict.py` turns scores into what to do.
"""
