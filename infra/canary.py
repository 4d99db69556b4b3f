"""A new version gets a share of the requests first, and all of them only when its alarm has stayed quiet.

The program sets the alias's weights while it runs and takes them away again. CodeDeploy is not used, because it
would own the alias from then on: Pulumi would have to ignore its version, an `up` would end before the canary
does, and what it then says of the live version, and deletes of the old ones, would be wrong. Here the alias is as
Pulumi's state has it before and after, so an `up` that changes nothing finds nothing to do, and one that goes back
fails with a sentence. The price: the `up` waits that long, and one that is killed leaves the share in place until
the next one.
https://docs.aws.amazon.com/lambda/latest/dg/configuring-alias-routing.html
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pulumi
from botocore.exceptions import BotoCoreError, ClientError

_PAUSE_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Share:
    """How much of the requests, and for how long."""

    percent: int
    minutes: float


class Canary:
    """Watches versions that answer a share of what their alias is asked."""

    def __init__(
        self,
        share: Share,
        *,
        connect_lambda: Callable[[], Any],
        connect_cloudwatch: Callable[[], Any],
        pause_seconds: float = _PAUSE_SECONDS,
    ) -> None:
        """Take what connects to Lambda and to CloudWatch."""
        self._share, self._pause_seconds = share, pause_seconds
        self._connect_lambda, self._connect_cloudwatch = connect_lambda, connect_cloudwatch

    async def pass_(self, function: str, alias: str, version: str, alarm: str) -> str:
        """Return `version` once it has answered its share without the alarm; at once where nothing else is live.

        Raises:
            pulumi.RunError: the alarm went off, or AWS cannot be asked; the version that was live has everything again.
        """
        if pulumi.runtime.is_dry_run():
            return version
        try:
            lambda_, cloudwatch = self._connect_lambda(), self._connect_cloudwatch()
            live = await _live(lambda_, function, alias)
            if live in (None, version):
                if live is not None:  # what an `up` that was killed may have left
                    await _share_out(lambda_, function, alias, {})
                return version
            await _share_out(lambda_, function, alias, {version: self._share.percent / 100})
            pulumi.log.info(
                f"Version {version} answers {self._share.percent} % of the requests for {self._share.minutes:g} min."
            )
            try:
                quiet = await self._stays_quiet(cloudwatch, alarm)
            finally:
                # Also when the program is ended meanwhile.
                await _share_out(lambda_, function, alias, {})
        except (BotoCoreError, ClientError) as error:
            raise pulumi.RunError(
                f"Version {version} cannot be given a share of the requests: {error} "
                "With canaryMinutes 0 it goes live without."
            ) from None
        if not quiet:
            raise pulumi.RunError(
                f"Version {version} failed while it answered {self._share.percent} % of the requests (alarm {alarm}), "
                f"so it does not go live: version {live} answers all of them again."
            )
        return version

    async def _stays_quiet(self, cloudwatch: Any, alarm: str) -> bool:
        until = time.monotonic() + self._share.minutes * 60
        while True:
            found = await asyncio.to_thread(cloudwatch.describe_alarms, AlarmNames=[alarm])
            if any(one["StateValue"] == "ALARM" for one in found["MetricAlarms"]):
                return False
            if time.monotonic() >= until:
                return True
            await asyncio.sleep(self._pause_seconds)


async def _live(lambda_: Any, function: str, alias: str) -> str | None:
    try:
        found = await asyncio.to_thread(lambda_.get_alias, FunctionName=function, Name=alias)
    except lambda_.exceptions.ResourceNotFoundException:
        return None
    version: str = found["FunctionVersion"]
    return version


async def _share_out(lambda_: Any, function: str, alias: str, weights: dict[str, float]) -> None:
    routing = {"AdditionalVersionWeights": weights}
    await asyncio.to_thread(lambda_.update_alias, FunctionName=function, Name=alias, RoutingConfig=routing)
