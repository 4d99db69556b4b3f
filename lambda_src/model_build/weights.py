"""Brings a model's published weights here before anything else is done, or says at once that they cannot be had.

open_clip fetches them too, but asks again and again where nobody answers, and fails with the errors of four libraries.
"""

from __future__ import annotations

import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError

from model_build.libraries import open_clip

_SECONDS_TO_ANSWER = 5


class WeightsUnreachable(Exception):
    """The weights are neither on this machine nor to be had from where they are published."""


def fetch(name: str, tag: str) -> None:
    """Download the weights `tag` of the model `name`, unless they are here already.

    Raises:
        WeightsUnreachable: they cannot be downloaded; names the place that was asked.
    """
    weights: Mapping[str, Any] = open_clip.pretrained.get_pretrained_cfg(name, tag)
    repository, _, file = weights.get("hf_hub", "").rpartition("/")
    url = hf_hub_url(repository, file or open_clip.constants.HF_WEIGHTS_NAME) if repository else weights["url"]
    if _here(repository, file, url):
        return
    host = urlsplit(url).hostname
    advice = "give PRETRAINED= the path of a checkpoint that is here, or try again with a network"
    try:
        _ask(url, of_the_hub=bool(repository))
        open_clip.pretrained.download_pretrained(weights)
    except Exception as error:  # the hub's client, its HTTP client and urllib each have errors of their own
        raise WeightsUnreachable(
            f"The weights {tag!r} are not on this machine, and {host} does not give them ({error}): {advice}."
        ) from error


def _here(repository: str, file: str, url: str) -> bool:
    if not repository:
        # Where open_clip keeps what it downloads itself.
        return (Path("~/.cache/clip").expanduser() / Path(urlsplit(url).path).name).is_file()
    weights = file or open_clip.constants.HF_WEIGHTS_NAME
    names = (weights, f"{Path(weights).stem}.safetensors", open_clip.constants.HF_SAFE_WEIGHTS_NAME)
    return any(isinstance(try_to_load_from_cache(repository, name), str) for name in names)


def _ask(url: str, *, of_the_hub: bool) -> None:
    """Ask once; raises where nobody answers. A refusal is an answer: other files of the same place may be there."""
    try:
        if of_the_hub:
            get_hf_file_metadata(url, timeout=_SECONDS_TO_ANSWER)
        else:
            head = urllib.request.Request(url, method="HEAD")  # noqa: S310 - open_clip's own addresses
            urllib.request.urlopen(head, timeout=_SECONDS_TO_ANSWER).close()  # noqa: S310 - as above
    except (HfHubHTTPError, HTTPError):
        return
