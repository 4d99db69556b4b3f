"""The events that AWS sends, with every field that it sends.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html and
https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
"""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import parse_qs, quote

_HOST = "id.execute-api.eu-central-1.amazonaws.com"
_HEADERS = {
    "accept": "*/*",
    "accept-encoding": "gzip, deflate, br",
    "content-length": "0",
    "host": _HOST,
    "user-agent": "curl/8.5.0",
    "x-amzn-trace-id": "Root=1-5e6722a7-cc56xmpl46db7ae02d4da47e",
    "x-forwarded-for": "192.0.2.1",
    "x-forwarded-port": "443",
    "x-forwarded-proto": "https",
}


def _body(body: bytes | None, encode: bool) -> dict[str, Any]:
    if body is None:
        return {"body": None, "isBase64Encoded": False}
    if encode:
        return {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
    return {"body": body.decode(), "isBase64Encoded": False}


def http_api(
    method: str, path: str, *, query: str = "", body: bytes | None = None, kind: str = "application/json", encode: bool
) -> dict[str, Any]:
    """An HTTP API's event, payload version 2.0."""
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "cookies": ["a=1", "b=2"],
        "headers": _HEADERS | {"content-type": kind},
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "id",
            "domainName": _HOST,
            "domainPrefix": "id",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "curl/8.5.0",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": "$default",
            "stage": "$default",
            "time": "10/Mar/2020:05:16:23 +0000",
            "timeEpoch": 1583817383220,
        },
        **_body(body, encode),
    }
    if query:
        event["queryStringParameters"] = {name: ",".join(values) for name, values in parse_qs(query).items()}
    return event


def function_url(
    method: str, path: str, *, query: str = "", body: bytes | None = None, kind: str = "application/json", encode: bool
) -> dict[str, Any]:
    """A function URL's event: version 2.0 with an identity, and without an API."""
    event = http_api(method, path, query=query, body=body, kind=kind, encode=encode)
    host = "abcdefg.lambda-url.eu-central-1.on.aws"
    caller = {
        "accessKey": "AKIAIOSFODNN7EXAMPLE",
        "accountId": "111122223333",
        "callerId": "AIDACKCEVSQ6C2EXAMPLE",
        "cognitoIdentity": None,
        "principalOrgId": "aws:PrincipalOrgId",
        "userArn": "arn:aws:iam::111122223333:user/example-user",
        "userId": "AIDACKCEVSQ6C2EXAMPLE",
    }
    context = event["requestContext"] | {
        "accountId": "anonymous",
        "apiId": "abcdefg",
        "authentication": None,
        "authorizer": {"iam": caller},
        "domainName": host,
        "domainPrefix": "abcdefg",
    }
    headers = event["headers"] | {
        "host": host,
        "x-amzn-tls-version": "TLSv1.3",
        "x-amzn-tls-cipher-suite": "TLS_AES_128",
    }
    return event | {"requestContext": context, "headers": headers, "pathParameters": None, "stageVariables": None}


def rest_api(
    method: str, path: str, *, query: str = "", body: bytes | None = None, kind: str = "application/json", encode: bool
) -> dict[str, Any]:
    """A REST API's event, payload version 1.0."""
    headers = {name.title(): value for name, value in (_HEADERS | {"content-type": kind}).items()}
    values = parse_qs(query) or None
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": {name: several[-1] for name, several in values.items()} if values else None,
        "multiValueQueryStringParameters": values,
        "pathParameters": {"proxy": quote(path.lstrip("/"))},
        "stageVariables": None,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "id",
            "authorizer": {"claims": None, "scopes": None},
            "domainName": _HOST,
            "domainPrefix": "id",
            "extendedRequestId": "request-id",
            "httpMethod": method,
            "identity": {
                "accessKey": None,
                "accountId": None,
                "apiKey": None,
                "caller": None,
                "clientCert": None,
                "cognitoAuthenticationProvider": None,
                "cognitoAuthenticationType": None,
                "cognitoIdentityId": None,
                "cognitoIdentityPoolId": None,
                "principalOrgId": None,
                "sourceIp": "192.0.2.1",
                "user": None,
                "userAgent": "curl/8.5.0",
                "userArn": None,
            },
            "path": f"/prod{path}",
            "protocol": "HTTP/1.1",
            "requestId": "id=",
            "requestTime": "04/Mar/2020:19:15:17 +0000",
            "requestTimeEpoch": 1583349317135,
            "resourceId": "abc123",
            "resourcePath": "/{proxy+}",
            "stage": "prod",
        },
        **_body(body, encode),
    }
