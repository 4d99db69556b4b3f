"""The events that a deployment sends to the function itself, past API Gateway."""

from __future__ import annotations

from collections.abc import Sequence

# The smallest event that API Gateway would send: it is handled as a request is.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
HEALTH_EVENT = {
    "version": "2.0",
    "routeKey": "GET /health",
    "rawPath": "/health",
    "rawQueryString": "",
    "headers": {"host": "release", "user-agent": "release"},
    "requestContext": {
        "accountId": "000000000000",
        "apiId": "release",
        "domainName": "release",
        "domainPrefix": "release",
        "http": {
            "method": "GET",
            "path": "/health",
            "protocol": "HTTP/1.1",
            "sourceIp": "127.0.0.1",
            "userAgent": "release",
        },
        "requestId": "release",
        "routeKey": "GET /health",
        "stage": "$default",
        "time": "01/Jan/2000:00:00:00 +0000",
        "timeEpoch": 946684800000,
    },
    "isBase64Encoded": False,
}


def warm_event(label_sets: Sequence[str]) -> dict[str, object]:
    """Return the event that puts these label sets' embeddings into the store."""
    return {"warm": {"label_sets": list(label_sets)}}
