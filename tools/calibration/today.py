"""The day that a calibration is of."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from moderator.errors import ConfigurationError


def today(environment: Mapping[str, str]) -> str:
    """Return today's date, or that of SOURCE_DATE_EPOCH: https://reproducible-builds.org/specs/source-date-epoch/.

    Raises:
        ConfigurationError: that is no number of seconds.
    """
    epoch = environment.get("SOURCE_DATE_EPOCH")
    if epoch is None:
        return datetime.datetime.now(datetime.UTC).date().isoformat()
    try:
        return datetime.datetime.fromtimestamp(int(epoch), datetime.UTC).date().isoformat()
    except (ValueError, OverflowError, OSError) as error:
        raise ConfigurationError(
            f"SOURCE_DATE_EPOCH is {epoch!r}: it must be a whole number of seconds since 1970, such as 1790000000."
        ) from error
