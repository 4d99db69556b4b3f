"""What a stack's secrets may be: sentences like those of `rules.py`, but without the secret."""

from __future__ import annotations

import re
from collections.abc import Iterator

from infra.settings import StackSettings

MOST_TOKENS = 20
# What `openssl rand -hex 32` gives, and whatever else an address can hold as it is.
_TOKEN = r"[A-Za-z0-9._~-]{32,256}"  # noqa: S105  # a form, no token


def complaints_of_secrets(settings: StackSettings) -> Iterator[str]:
    """Say what is wrong with the store's password and with the tokens."""
    yield from _of_password(settings)
    yield from _of_tokens(settings)


def _of_password(settings: StackSettings) -> Iterator[str]:
    password = settings.cache_password
    if password.plain and not password.encrypted:
        yield (
            "cachePassword is not encrypted in the stack's file: it must be set with "
            "`pulumi config set --secret cachePassword`."
        )
    if password.plain and settings.cache_password_arn:
        yield "cachePassword and cachePasswordArn are both set: one must be left out."
    if settings.cache_user and not settings.has_password:
        yield (
            f"cacheUser is {settings.cache_user!r}: it must go with a password, in cachePassword or cachePasswordArn."
        )
    if settings.secrets_endpoint and not (settings.subnet_ids and settings.has_password):
        yield (
            "secretsEndpoint is true: it must be false but where subnetIds are set and the store of your own has a "
            "password, as nothing else reads a secret."
        )


def _of_tokens(settings: StackSettings) -> Iterator[str]:
    tokens = settings.auth_tokens.plain
    if settings.auth != "token":
        if tokens:
            yield f"auth is {settings.auth!r}: it must be token when authTokens is set, or they are ignored."
        return
    if not tokens:
        yield (
            "authTokens is {}: with auth token it must have one token at least, set with "
            "`pulumi config set --secret --path authTokens.NAME`."
        )
        return
    if not settings.auth_tokens.encrypted:
        yield (
            "authTokens is not encrypted in the stack's file: each token must be set with "
            "`pulumi config set --secret --path authTokens.NAME`."
        )
    if len(tokens) > MOST_TOKENS:
        yield f"authTokens has {len(tokens)} tokens: it must have {MOST_TOKENS} at most."
    for name, token in tokens.items():
        if not re.fullmatch(r"[A-Za-z0-9][\w-]{0,39}", name):
            yield (
                f"authTokens has the name {name!r}: it must be of letters, digits, hyphens and underscores, 40 at most."
            )
        if not isinstance(token, str) or not re.fullmatch(_TOKEN, token):
            yield (
                f"authTokens.{name} cannot be a token: it must be of 32 to 256 letters, digits and ._~-, "
                "such as `openssl rand -hex 32` gives."
            )
    if len({str(token) for token in tokens.values()}) < len(tokens):
        yield "authTokens has one token under two names: each name must have one of its own."
    if len(settings.name) > 53:
        yield (
            f"The stack's name makes {settings.name!r}: with auth token it must have 53 characters at most, "
            "as the authorizer's name is longer by eleven."
        )
