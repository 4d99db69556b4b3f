"""The environment that the program gives the runtime: `moderator/settings.py` reads these names and no others.

MODEL_DIR, LABEL_SETS_DIR and POLICIES_DIR are not here: where the image keeps its files is said by the Dockerfile.
"""

from __future__ import annotations

import pulumi

from infra.cache import LabelStore
from infra.own_store import OwnStore
from infra.settings import StackSettings

# The metrics' names and their dimension; observability.py reads them from here.
METRICS_NAMESPACE = "ClipVideoModerator"

POWERTOOLS_VARIABLES = frozenset({"POWERTOOLS_SERVICE_NAME", "POWERTOOLS_METRICS_NAMESPACE", "POWERTOOLS_LOG_LEVEL"})


def environment(settings: StackSettings, store: LabelStore | OwnStore | None) -> dict[str, pulumi.Input[str]]:
    """Give the runtime's variables; no secret is among them: a token is signed, a password read, where it is used."""
    variables: dict[str, pulumi.Input[str]] = {
        # The service is the stack, so that two stacks of one account do not mix their metrics.
        "POWERTOOLS_SERVICE_NAME": settings.name,
        "POWERTOOLS_METRICS_NAMESPACE": METRICS_NAMESPACE,
        "POWERTOOLS_LOG_LEVEL": settings.log_level,
        "CACHE_TTL_SECONDS": str(settings.cache_ttl_days * 24 * 3600),
        "CACHE_BUDGET_MS": str(settings.cache_budget_ms),
        "CACHE_RETRY_SECONDS": str(settings.cache_retry_seconds),
        "MEMORY_LABELS": str(settings.memory_labels),
        "MAX_PIXELS": str(settings.max_pixels),
        "MAX_BODY_BYTES": str(settings.max_body_bytes),
        "MAX_LABELS": str(settings.max_labels),
        "MAX_PICTURES": str(settings.max_pictures),
        "DEFAULT_POLICY": settings.default_policy,
        "DEFAULT_LABEL_SET": settings.default_label_set,
        "FLAG_FROM": settings.flag_from,
        "READ_BUCKETS": " ".join(settings.read_buckets),
        "MAX_SECONDS": str(settings.timeout),
        "THREADS": str(settings.threads),
        "LOG_LABELS": str(settings.log_labels).lower(),
    }
    return {**variables, **(store.variables if store else {})}
