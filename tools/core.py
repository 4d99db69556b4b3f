"""The service's core at a desk: the same model, limits and policies, without HTTP and without a store."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from PIL import Image

from moderator.classifier import Classifier
from moderator.clip.model import Model, read_model
from moderator.clip.towers import ImageTower, TextTower
from moderator.cpus import usable_cpus
from moderator.errors import ConfigurationError
from moderator.labels.cache import LabelCache
from moderator.labels.precomputed import read_precomputed
from moderator.policy.file import read_policies
from moderator.policy.policy import Policy
from moderator.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Core:
    """What judges and embeds pictures, and what it was built from."""

    settings: Settings
    model: Model
    classifier: Classifier
    labels: LabelCache
    policies: Mapping[str, Policy]
    threads: int

    def policy(self, name: str) -> Policy:
        """Return the configured policy.

        Raises:
            ConfigurationError: there is none of that name.
        """
        if name not in self.policies:
            known = ", ".join(sorted(self.policies)) or "none"
            raise ConfigurationError(f"There is no policy {name!r}: those in {self.settings.policies_dir} are {known}.")
        return self.policies[name]


def build_core(settings: Settings) -> Core:
    """Build the core.

    Raises:
        ConfigurationError: a policy or the model folder cannot be used.
    """
    # The service's own limit is stricter, and says so in a sentence; Pillow's would only warn.
    Image.MAX_IMAGE_PIXELS = None

    model = read_model(settings.model_dir)
    threads = settings.threads or usable_cpus()
    labels = LabelCache(
        TextTower(model, threads=threads),
        None,
        memory_labels=settings.memory_labels,
        precomputed=read_precomputed(model, logging.getLogger(__name__)),
    )
    return Core(
        settings=settings,
        model=model,
        classifier=Classifier(
            model, ImageTower(model, threads=threads), labels, max_pixels=settings.max_pixels, threads=threads
        ),
        labels=labels,
        policies=read_policies(settings.policies_dir, max_labels=settings.max_labels),
        threads=threads,
    )
