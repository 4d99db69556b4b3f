"""Each client with a token, through the stack's own authorizer: the right one, a wrong one, none, and in which place.

Without the right token the gateway answers by itself, in its own form (`{"message": ...}`), and the service is not
asked: no form of ours is possible there. So what is shown is that each client reads that answer as an error, never as
"safe".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import openai
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from clip_moderator_client import Client, Refused, Token
from infra.tokens import QUERY_ROUTES
from moderator.web.routes import ROUTES
from support.client_pictures import ALLOWED, BLOCKED
from support.harness import LAMBDA_SRC, Reply, Service
from support.token_gateway import TOKEN

from . import test_misskey as misskey
from . import test_openai as sdk
from . import test_photoprism as photoprism
from . import test_pict_rs as pict_rs
from .test_addresses import REQUESTS
from .test_rekognition import SESSION

PATHS = [route.path for route in ROUTES if route.adapter is not None]
IN_QUERY = {route.partition(" ")[2] for route in QUERY_ROUTES}
WRONG = TOKEN.replace("0", "1")
each_path = pytest.mark.parametrize("path", PATHS)


def send(service: Service, path: str, *, header: str | None = None, query: str | None = None) -> Reply:
    body, headers = REQUESTS[path]
    headers = headers | ({} if header is None else {"Authorization": header})
    return service.request("POST", path if query is None else f"{path}?token={query}", body, headers)


def in_its_place(path: str, token: str) -> dict[str, str]:
    """As its client sends it: pict-rs can only be told an address."""
    return {"query": token} if path in IN_QUERY else {"header": f"Bearer {token}"}


class TestEachRoute:
    def test_there_is_a_request_for_each(self) -> None:
        missing = set(PATHS) - set(REQUESTS)
        assert not missing, f"{missing} of an adapter: write a request as its client sends it into test_addresses.py."

    @each_path
    def test_the_right_token_is_let_in(self, gated: Service, path: str) -> None:
        assert send(gated, path, **in_its_place(path, TOKEN)).status == 200

    @each_path
    def test_a_wrong_one_is_forbidden_and_none_is_unauthorized(self, gated: Service, path: str) -> None:
        for reply, status in (
            (send(gated, path, **in_its_place(path, WRONG)), 403),
            (send(gated, path, **in_its_place(path, "")), 403 if path not in IN_QUERY else 401),
            (send(gated, path), 401),
        ):
            assert reply.status == status
            assert set(reply.json) == {"message"}, "the gateway's own form: the service was not asked"

    @each_path
    def test_the_other_place_does_not_count(self, gated: Service, path: str) -> None:
        """An address ends up in logs, so a token in it opens nothing but what has no header."""
        elsewhere = {"header": f"Bearer {TOKEN}"} if path in IN_QUERY else {"query": TOKEN}
        assert send(gated, path, **elsewhere).status == 401

    def test_another_path_is_not_found(self, gated: Service) -> None:
        assert gated.request("POST", "/v1/other", b"{}", {"Authorization": f"Bearer {TOKEN}"}).status == 404


class TestTheClientsThemselves:
    @pytest.mark.parametrize(
        ("token", "error"), [(WRONG, openai.PermissionDeniedError), (TOKEN[:-1], openai.PermissionDeniedError)]
    )
    def test_openais_sdk(self, gated: Service, token: str, error: type[openai.APIStatusError]) -> None:
        url = f"http://127.0.0.1:{gated.port}/v1"
        with openai.OpenAI(base_url=url, api_key=TOKEN, max_retries=0) as client:
            assert client.moderations.create(input=[sdk.image(BLOCKED)]).results[0].flagged is True
        with openai.OpenAI(base_url=url, api_key=token, max_retries=0) as client, pytest.raises(error):
            client.moderations.create(input=[sdk.image(ALLOWED)])

    def test_aws_sdk_as_the_docs_say(self, gated: Service) -> None:
        client_with = aws_of_the_docs(gated)
        answer = client_with(TOKEN).detect_moderation_labels(Image={"Bytes": BLOCKED})
        assert answer["ModerationLabels"][0]["Name"] == "red circles"
        with pytest.raises(ClientError) as caught:
            client_with(WRONG).detect_moderation_labels(Image={"Bytes": ALLOWED})
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403

    def test_misskey(self, gated: Service) -> None:
        form = misskey.form(misskey.PICTURE)
        (judged,) = misskey.read(misskey.ask(gated, form, key=TOKEN), 1)
        assert judged is not None
        assert misskey.read(misskey.ask(gated, form, key=WRONG), 1) == [None]

    @pytest.mark.parametrize("on_error", ["refuse", "allow"])
    def test_pict_rs(self, gated: Service, on_error: str) -> None:
        body, headers = REQUESTS["/hooks/pict-rs"]
        for token, accepted in ((TOKEN, True), (WRONG, False), ("", False)):
            target = f"/hooks/pict-rs?on_error={on_error}&token={token}"
            assert pict_rs.accepts(gated.request("POST", target, body, headers).status) == accepted

    def test_photoprism(self, gated: Service) -> None:
        for token, decision in ((TOKEN, "safe"), (WRONG, "unavailable")):
            (result,) = photoprism.read(photoprism.ask(gated, ALLOWED, key=token), 1)
            assert result.decide(photoprism.UPLOAD_THRESHOLD) == decision

    def test_our_own_client(self, gated: Service) -> None:
        url = f"http://127.0.0.1:{gated.port}"
        for auth in (Token(WRONG), None):
            with Client(url, auth=auth) as client, pytest.raises(Refused):
                client.moderate(ALLOWED, policy="demo")


def aws_of_the_docs(service: Service) -> Callable[[str], Any]:
    """A client whose event handler is the one in docs/clients.md."""
    page = (LAMBDA_SRC.parent / "docs/clients.md").read_text()
    (line,) = re.findall(r"lambda request, \*\*_: [^\n]+", page)

    def client_with(token: str) -> Any:
        client = SESSION.client(
            "rekognition",
            endpoint_url=f"http://127.0.0.1:{service.port}",
            region_name="eu-central-1",
            config=Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1}),
        )
        handler = eval(line.rstrip(",").replace("your token", token))  # noqa: S307 - ours
        client.meta.events.register("before-send.rekognition.*", handler)
        return client

    return client_with
