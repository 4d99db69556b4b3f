"""`GET /policies` gives each policy as it is written, so that it can be changed and sent back."""

from __future__ import annotations

import json

from support.harness import LAMBDA_SRC, Service
from support.pictures import as_base64, drawn, encoded


def test_each_policy_is_given_as_its_file_has_it(service: Service) -> None:
    files = {path.stem: json.loads(path.read_text()) for path in (LAMBDA_SRC / "policies").glob("*.json")}
    given = {one["name"]: one["policy"] for one in service.get("/policies").json["policies"]}
    assert given == files
    assert [*given["moderation"]["categories"]] == [*files["moderation"]["categories"]]  # in its own order


def test_what_is_given_is_accepted_and_has_the_same_version(service: Service) -> None:
    for policy in service.get("/policies").json["policies"]:
        body = {"image_data": as_base64(encoded(drawn())), "policy": policy["policy"]}
        reply = service.request("POST", "/moderate", json.dumps(body), {"Content-Type": "application/json"})
        assert reply.status == 200
        assert reply.json["policy"] == {"name": None} | {key: policy[key] for key in ("version", "calibrated")}
