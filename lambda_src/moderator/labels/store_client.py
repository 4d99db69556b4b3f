"""The client of the store: redis-py, with the timeouts and retries of a request path instead of its defaults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from threading import Event
from typing import TYPE_CHECKING, Any, Protocol

from moderator.settings import Settings

if TYPE_CHECKING:
    from redis.credentials import CredentialProvider

# No single step may take longer: connecting, signing in, an answer. A request gives up its waiting long before.
STEP_SECONDS = 5.0


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

    def pipeline(self, transaction: bool) -> Pipeline:
        """Collect commands for one round trip."""


@dataclass(frozen=True, kw_only=True)
class Client:
    """A client, and how to close all of its connections even while they are in use."""

    commands: Commands
    close: Callable[[], None]


def connector(
    settings: Settings, environment: Mapping[str, str], now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Callable[[Callable[[Commands], object]], Client]:
    """Return a function that makes clients for `settings.cache_url`; its first command shows which node to connect to.

    redis-py's defaults (10 retries with pauses) would hold up a request for seconds. Here nothing is retried, a lost
    connection stays lost, and after the first command no new one is made: `Connection` replaces the whole client,
    because the nodes and addresses that it knew may be gone.

    redis-py is imported with the first connection, which is made in the background while the start loads the model:
    importing takes as long as that, and loading leaves Python to others meanwhile.

    `environment` is asked for the role's keys with each new connection, where the settings name an IAM user or
    a secret.
    """

    @cache
    def options() -> _Options:
        from redis.backoff import NoBackoff
        from redis.connection import parse_url
        from redis.maint_notifications import MaintNotificationsConfig
        from redis.retry import Retry

        from moderator.labels.redis_connections import PlainConnection, SharedContext, TlsConnection

        credentials: CredentialProvider | None = None
        if settings.cache_iam_user:
            from moderator.labels.iam import IamCredentialProvider

            credentials = IamCredentialProvider(
                cache_name=settings.cache_iam_name, user=settings.cache_iam_user, environment=environment, now=now
            )
        elif settings.cache_credentials_arn:
            from moderator.labels.secret import SecretCredentialProvider

            credentials = SecretCredentialProvider(
                arn=settings.cache_credentials_arn,
                user=settings.cache_user,
                url=settings.cache_credentials_url,
                environment=environment,
                now=now,
            )
        kind: dict[str, Any] = {"connection_class": PlainConnection}
        if settings.cache_url.startswith("rediss://"):
            kind = {"connection_class": TlsConnection, "tls": SharedContext()}
        always: dict[str, Any] = {
            "socket_timeout": STEP_SECONDS,
            "socket_connect_timeout": STEP_SECONDS,
            "retry": Retry(NoBackoff(), 0),
            # ElastiCache does not know CLIENT MAINT_NOTIFICATIONS.
            "maint_notifications_config": MaintNotificationsConfig(enabled=False),
            # CLIENT SETINFO would be one more command on every new connection.
            "driver_info": None,
            "credential_provider": credentials,
        }
        of_url: dict[str, Any] = parse_url(settings.cache_url)  # type: ignore[no-untyped-call]  # redis-py's
        return _Options(kind=kind, always=always, of_url=of_url)

    def connect(first: Callable[[Commands], object]) -> Client:
        import redis

        pools: list[redis.ConnectionPool] = []
        made = Event()

        def pool(**of_node: Any) -> redis.ConnectionPool:
            pools.append(redis.ConnectionPool(**of_node | dict(options().kind), made=made))
            return pools[-1]

        def close() -> None:
            # The cluster client itself leaves its nodes' connections open.
            for one in pools:
                one.disconnect()

        commands: Any
        if settings.cache_cluster:
            from redis.cluster import RedisCluster

            commands = RedisCluster.from_url(settings.cache_url, connection_pool_class=pool, **options().always)
        else:
            commands = redis.Redis(connection_pool=pool(**options().always | options().of_url))
        first(commands)
        made.set()
        return Client(commands=commands, close=close)

    return connect


@dataclass(frozen=True, kw_only=True)
class _Options:
    """What redis-py is told: of a pool's connections, of every client, and what the URL says."""

    kind: Mapping[str, Any]
    always: dict[str, Any]
    of_url: dict[str, Any]


def unreachable(error: Exception) -> bool:
    """Return whether `error` means that the store cannot be asked at all, rather than that it refused a command."""
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
