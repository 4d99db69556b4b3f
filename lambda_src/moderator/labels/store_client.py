"""The connection to the store: redis-py, with the timeouts and retries of a request path instead of its defaults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from moderator.settings import Settings


class Pipeline(Protocol):
    """Commands that are sent together."""

    def set(self, name: str, value: bytes, *, ex: int) -> Any:
        """Queue a SET with a time to live in seconds."""

    def expire(self, name: str, time: int) -> Any:
        """Queue an EXPIRE."""

    def execute(self) -> list[Any]:
        """Send what is queued; raises the first error among the answers."""


class Commands(Protocol):
    """What the store needs of redis-py; its plain and its cluster client both have it."""

    def mget(self, keys: list[str]) -> Any:
        """Read many keys; None for each that is not there."""

    def ping(self) -> Any:
        """Ask for a sign of life."""

    def pipeline(self, transaction: bool) -> Pipeline:
        """Collect commands for one round trip."""

    def close(self) -> None:
        """Close every connection."""


def connector(settings: Settings, environment: Mapping[str, str]) -> Callable[[float], Commands]:
    """Make what makes clients for `settings.cache_url`, given the seconds that each of their steps may take.

    redis-py's defaults (5 s timeouts, 10 retries with pauses) would hold up a request for seconds. Here every step may
    take the request's whole allowance, and a connection that turns out to be dead - as after a frozen Lambda resumes -
    is replaced once. A timeout is not retried.

    `environment` is asked for the role's keys with each new connection, where the settings name an IAM user.
    """
    # Only a service with a store pays for it. At the start and not with the first request: that takes 0.15 s on an idle
    # CPU, which is the whole of a request's allowance.
    import redis
    from redis.backoff import NoBackoff
    from redis.cluster import RedisCluster
    from redis.maint_notifications import MaintNotificationsConfig
    from redis.retry import Retry

    credentials = None
    if settings.cache_iam_user:
        from moderator.labels.iam import IamCredentialProvider

        credentials = IamCredentialProvider(
            cache_name=settings.cache_iam_name, user=settings.cache_iam_user, environment=environment
        )

    def connect(seconds: float) -> Commands:
        options: dict[str, Any] = {
            "socket_timeout": seconds,
            "socket_connect_timeout": seconds,
            "retry": Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
            # ElastiCache does not know CLIENT MAINT_NOTIFICATIONS.
            "maint_notifications_config": MaintNotificationsConfig(enabled=False),
            # CLIENT SETINFO would be one more command on every new connection.
            "driver_info": None,
            "credential_provider": credentials,
        }
        client: Any
        if settings.cache_cluster:
            client = RedisCluster.from_url(settings.cache_url, **options)
        else:
            client = redis.Redis.from_url(settings.cache_url, **options)
        return client  # type: ignore[no-any-return]

    return connect


def unreachable(error: Exception) -> bool:
    """Whether `error` means that nothing at all can be asked of the store, rather than that it refused a command."""
    import redis

    return isinstance(
        error,
        TimeoutError
        | OSError
        | redis.ConnectionError
        | redis.TimeoutError
        # The cluster client's own, which are neither: no node answers, or no node serves the slot.
        | redis.RedisClusterException
        | redis.exceptions.ClusterDownError,
    )
