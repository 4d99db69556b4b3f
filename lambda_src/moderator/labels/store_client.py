"""The client of the store: redis-py, with the timeouts and retries of a request path instead of its defaults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
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

    `environment` is asked for the role's keys with each new connection, where the settings name an IAM user or
    a secret.
    """
    # Imported here, so that only a service with a store pays for it; and at the start, not with the first request: it
    # takes 0.15 s on an idle CPU, which is the whole of a request's allowance.
    import redis
    from redis.backoff import NoBackoff
    from redis.cluster import RedisCluster
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
    url_options = parse_url(settings.cache_url)  # type: ignore[no-untyped-call]  # redis-py's
    shared = SharedContext()
    options: dict[str, Any] = {
        "socket_timeout": STEP_SECONDS,
        "socket_connect_timeout": STEP_SECONDS,
        "retry": Retry(NoBackoff(), 0),
        # ElastiCache does not know CLIENT MAINT_NOTIFICATIONS.
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
        # CLIENT SETINFO would be one more command on every new connection.
        "driver_info": None,
        "credential_provider": credentials,
    }

    def connect(first: Callable[[Commands], object]) -> Client:
        pools: list[redis.ConnectionPool] = []
        made = Event()

        def pool(**of_node: Any) -> redis.ConnectionPool:
            kind: dict[str, Any] = {"connection_class": PlainConnection}
            if settings.cache_url.startswith("rediss://"):
                kind = {"connection_class": TlsConnection, "tls": shared}
            pools.append(redis.ConnectionPool(**of_node | kind, made=made))
            return pools[-1]

        def close() -> None:
            # The cluster client itself leaves its nodes' connections open.
            for one in pools:
                one.disconnect()

        commands: Any
        if settings.cache_cluster:
            commands = RedisCluster.from_url(settings.cache_url, connection_pool_class=pool, **options)
        else:
            commands = redis.Redis(connection_pool=pool(**options | url_options))
        first(commands)
        made.set()
        return Client(commands=commands, close=close)

    return connect


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
