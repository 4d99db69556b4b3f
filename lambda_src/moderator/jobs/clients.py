"""AWS' own client library, which the base image's runtime brings; only the worker imports it.

https://docs.aws.amazon.com/lambda/latest/dg/lambda-python.html
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from moderator.jobs.requests import Requests


class Clients:
    """Clients that many threads may use; each is made when it is first needed. `requests` counts those to S3."""

    def __init__(self) -> None:
        self.requests = Requests()

    @cached_property
    def s3(self) -> Any:
        """S3's."""
        client = self._client("s3")
        self.requests.watch(client)
        return client

    @cached_property
    def events(self) -> Any:
        """EventBridge's."""
        return self._client("events")

    def _client(self, service: str) -> Any:
        import boto3
        from botocore.config import Config

        return boto3.client(
            service,
            config=Config(
                connect_timeout=5,
                read_timeout=20,
                max_pool_connections=32,
                retries={"mode": "standard", "total_max_attempts": 6},
            ),
        )
