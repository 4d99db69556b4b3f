"""Writes the precomputed tier: embeds every label of every configured label set and policy. Run when an image is built.

`python -m moderator.jobs.precompute` reads the settings of the service: MODEL_DIR, LABEL_SETS_DIR and POLICIES_DIR.
"""

from __future__ import annotations

import os
import sys
from logging import getLogger

from moderator.clip.model import Model, read_model
from moderator.clip.towers import TextTower
from moderator.cpus import usable_cpus
from moderator.errors import ConfigurationError, InvalidField
from moderator.labels.label_sets import read_label_sets
from moderator.labels.precomputed import read_precomputed, write_precomputed
from moderator.policy.file import read_policies
from moderator.settings import Settings, read_settings


def precompute(settings: Settings) -> str:
    """Embed what is configured, unless that was done already, and say what was done.

    Raises:
        ConfigurationError: the model folder, a label set or a policy cannot be used, or a label cannot be embedded.
    """
    model = read_model(settings.model_dir)
    labels = _configured(settings)
    if _is_done(model, labels):
        return f"{len(labels)} labels are precomputed already."
    try:
        matrix = TextTower(model, threads=settings.threads or usable_cpus()).embed(labels)
    except InvalidField as error:
        raise ConfigurationError(f"A configured label cannot be embedded: {error.detail}") from error
    path = write_precomputed(model, labels, matrix)
    return f"{len(labels)} labels are precomputed: {path}, {path.stat().st_size:,} bytes."


def _configured(settings: Settings) -> list[str]:
    label_sets = read_label_sets(settings.label_sets_dir, max_labels=settings.max_labels)
    policies = read_policies(settings.policies_dir, max_labels=settings.max_labels)
    of_sets = {label for label_set in label_sets.values() for label in label_set.labels}
    of_policies = {label for policy in policies.values() for label in policy.labels}
    # Sorted, so that the same labels make the same file.
    return sorted(of_sets | of_policies)


def _is_done(model: Model, labels: list[str]) -> bool:
    try:
        return list(read_precomputed(model, getLogger(__name__))) == labels
    except ConfigurationError:
        return False  # damaged: made again


def main() -> None:
    """Write the file of the configured model folder."""
    try:
        print(precompute(read_settings(os.environ)))
    except ConfigurationError as error:
        sys.exit(f"The labels cannot be precomputed. {error}")


if __name__ == "__main__":
    main()
