"""The published versions of one function, asked of Lambda itself: what no resource of Pulumi's can do.

Pulumi's provider publishes versions, but does not wait for them, ask them again, or delete them. So this is done from
the program while it runs, in an `up` and never in a preview; nothing of it is kept in the stack's state, and an `up`
that changes nothing finds nothing to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import pulumi
from botocore.exceptions import BotoCoreError, ClientError

Configuration = Mapping[str, Any]  # one version, as Lambda's GetFunctionConfiguration answers it

# The aliases of a release: the one that answers, without and with snapshots. All others are somebody else's.
LIVE, LIVE_SNAPSHOTS = "live", "live-snapshots"

# A version with a snapshot takes minutes to be ready.
_PAUSE_SECONDS, _MOST_PAUSES = 3.0, 200


class Versions:
    """Waits for a function's versions, asks them, and deletes those that nobody needs; a function is its whole ARN.

    Lambda may not answer here although Pulumi can reach it, as where only the provider's own settings say how to sign
    in: then a warning says so, and the deployment goes on as it would without.
    """

    def __init__(
        self, connect: Callable[[], Any], *, pause_seconds: float = _PAUSE_SECONDS, drain_seconds: float = 0
    ) -> None:
        """Take what connects to Lambda; requests that a version still answers end within `drain_seconds`."""
        self._connect = connect
        self._client: Any = None
        self._pause_seconds, self._drain_seconds = pause_seconds, drain_seconds
        self._live_before: frozenset[str] = frozenset()
        self._warned = False
        self._why = ""  # the last version that could not be deleted could not

    async def ready(self, function: str, version: str) -> str:
        """Return `version` once it can be called.

        Raises:
            pulumi.RunError: it could not be made, or is not there after ten minutes.
        """
        if pulumi.runtime.is_dry_run():
            return version
        self._live_before = frozenset(await self._ask(lambda: self._live(function)) or ())
        for _ in range(_MOST_PAUSES):
            found = await self._ask(
                lambda: self._lambda.get_function_configuration(FunctionName=function, Qualifier=version)
            )
            state = found["State"] if found else "unknown"
            if state == "Failed":
                raise pulumi.RunError(f"Version {version} could not be made: {found.get('StateReason', 'no reason')}")
            if state != "Pending":  # one that nobody called for weeks is Inactive, and wakes up when it is called
                return version
            await asyncio.sleep(self._pause_seconds)
        raise pulumi.RunError(f"Version {version} is still pending after ten minutes.")

    async def ask_again(self, function: str, version: str, event: str) -> str | None:
        """Return what the version answers to `event` now, or None when it cannot be asked or fails."""
        answer = await self._ask(
            lambda: self._lambda.invoke(FunctionName=function, Qualifier=version, Payload=event.encode())
        )
        if answer is None or "FunctionError" in answer:
            return None
        text: str = (await asyncio.to_thread(answer["Payload"].read)).decode()
        return text

    async def prune(self, function: str, live: str) -> None:
        """Delete every version but the live one, the one before it, and those that an alias names."""
        if pulumi.runtime.is_dry_run():
            return
        there = await self._ask(lambda: self._all(function))
        aliased = await self._ask(lambda: self._aliased(function))
        if there is None or aliased is None:
            return
        keep = {live, *aliased, *before(there, live=live, live_before=self._live_before)}
        old = [one["Version"] for one in there if one["Version"] not in {"$LATEST", *keep}]
        if set(old) & self._live_before:
            # It may still be answering, and Lambda needs a moment until every request goes to the new one.
            await asyncio.sleep(self._drain_seconds)
        stay = [version for version in old if not await self._deleted(function, version)]
        if stay:
            pulumi.log.warn(
                f"These versions of {function} could not be deleted and stay until the next up: {', '.join(stay)} "
                f"({self._why})."
            )

    @property
    def _lambda(self) -> Any:
        if self._client is None:
            self._client = self._connect()
        return self._client

    async def _ask(self, call: Callable[[], Any]) -> Any:
        """Return the answer of `call`, made in a thread, or None after a warning."""
        if self._warned:
            return None
        try:
            return await asyncio.to_thread(call)
        except (BotoCoreError, ClientError) as error:
            self._warned = True
            pulumi.log.warn(
                f"Lambda could not be asked from here ({error}), so old versions of the function stay. docs/deploy.md "
                "says how to sign in."
            )
            return None

    def _all(self, function: str) -> list[Configuration]:
        pages = self._lambda.get_paginator("list_versions_by_function").paginate(FunctionName=function)
        return [version for page in pages for version in page["Versions"]]

    def _live(self, function: str) -> list[str]:
        """Return what the release's own aliases name; one of somebody else's says nothing of what was live."""
        return [one["FunctionVersion"] for one in self._aliases(function) if one["Name"] in (LIVE, LIVE_SNAPSHOTS)]

    def _aliases(self, function: str) -> list[Mapping[str, Any]]:
        pages = self._lambda.get_paginator("list_aliases").paginate(FunctionName=function)
        return [alias for page in pages for alias in page["Aliases"]]

    def _aliased(self, function: str) -> list[str]:
        aliases = self._aliases(function)
        weighted = [
            version
            for alias in aliases
            for version in alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
        ]
        return [*(alias["FunctionVersion"] for alias in aliases), *weighted]

    async def _deleted(self, function: str, version: str) -> bool:
        """Return whether the version is gone; one that stays keeps no other."""
        try:
            await asyncio.to_thread(self._lambda.delete_function, FunctionName=function, Qualifier=version)
        except (BotoCoreError, ClientError) as error:
            self._why = str(error)
            return False
        return True


def before(there: Sequence[Configuration], *, live: str, live_before: Collection[str]) -> set[str]:
    """Return the version to go back to: what was live before, or else the newest that is older than the live one.

    One that stands elsewhere than the live one is not kept: its network interfaces would keep the subnets and groups
    that it stands in from being deleted.
    """
    found = {one["Version"]: one for one in there}
    older = [version for version in found if version.isdecimal() and int(version) < int(live)]
    wanted = set(live_before) - {live} or set(sorted(older, key=int)[-1:])
    place = _place(found[live]) if live in found else set()
    return {version for version in wanted if version in found and _place(found[version]) <= place}


def _place(version: Configuration) -> set[str]:
    network = version.get("VpcConfig") or {}
    return {*network.get("SubnetIds", []), *network.get("SecurityGroupIds", [])}
