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
# A minute's errors are counted when it is over, and arrive one to two minutes later.
# https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-view.html
_SETTLE_SECONDS = 180.0


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
        settle_seconds: float = _SETTLE_SECONDS,
    ) -> None:
        """Take what connects to Lambda and to CloudWatch; an error is seen within `settle_seconds`."""
        self._share, self._pause_seconds, self._settle_seconds = share, pause_seconds, settle_seconds
        self._connect_lambda, self._connect_cloudwatch = connect_lambda, connect_cloudwatch

    async def pass_(self, function: str, alias: str, version: str, alarm: str) -> str:
        """Return `version` once it has answered its share without the alarm; at once where nothing else is live.

        `function` is its whole ARN, so that no other account's is meant.

        Raises:
            pulumi.RunError: the alarm went off, or AWS cannot be asked; says whether the version that was live has
                everything again.
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
            # An alarm of an `up` before this one stays on for minutes: what it says is of then.
            if not await self._is_off(cloudwatch, alarm):
                raise pulumi.RunError(
                    f"Version {version} cannot be given a share of the requests yet: its alarm {alarm} is still on "
                    "from the deployment before. Deploy again in some minutes."
                )
            quiet = await self._share_and_watch(lambda_, cloudwatch, (function, alias, version), alarm)
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

    async def _share_and_watch(self, lambda_: Any, cloudwatch: Any, shared: tuple[str, str, str], alarm: str) -> bool:
        """Give the version its share, take it back, and return whether all of that time was quiet."""
        function, alias, version = shared
        await _share_out(lambda_, function, alias, {version: self._share.percent / 100})
        pulumi.log.info(
            f"Version {version} answers {self._share.percent} % of the requests for {self._share.minutes:g} min."
        )
        try:
            quiet = await self._stays_quiet(cloudwatch, alarm, self._share.minutes * 60)
        finally:
            # Also when the program is ended meanwhile.
            try:
                await _share_out(lambda_, function, alias, {})
            except (BotoCoreError, ClientError) as error:
                raise pulumi.RunError(
                    f"Version {version} still answers {self._share.percent} % of the requests, and does not go live: "
                    f"{error} The share could not be taken back. The next up does it, or: "
                    f"aws lambda update-alias --function-name {function} --name {alias} "
                    "--routing-config AdditionalVersionWeights={}"
                ) from None
        # The errors of the last minutes are on their way.
        return quiet and await self._stays_quiet(cloudwatch, alarm, self._settle_seconds)

    async def _stays_quiet(self, cloudwatch: Any, alarm: str, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while True:
            if await _is_on(cloudwatch, alarm):
                return False
            if time.monotonic() >= until:
                return True
            await asyncio.sleep(self._pause_seconds)

    async def _is_off(self, cloudwatch: Any, alarm: str) -> bool:
        """Return whether the alarm is off, or goes off while nothing new can set it on."""
        until = time.monotonic() + 2 * self._settle_seconds
        while await _is_on(cloudwatch, alarm):
            if time.monotonic() >= until:
                return False
            await asyncio.sleep(self._pause_seconds)
        return True


async def _is_on(cloudwatch: Any, alarm: str) -> bool:
    found = await asyncio.to_thread(cloudwatch.describe_alarms, AlarmNames=[alarm])
    return any(one["StateValue"] == "ALARM" for one in found["MetricAlarms"])


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
