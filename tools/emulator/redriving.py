"""What ministack's Step Functions lacks: letting a failed execution go on.

AWS goes on at the state that failed, and in a map with the children that failed; here all of it runs again, which a
job takes for the same. https://docs.aws.amazon.com/step-functions/latest/dg/redrive-executions.html
"""

from __future__ import annotations

import contextvars
import json
import threading
from datetime import UTC, datetime
from typing import Any

from ministack.services import stepfunctions  # type: ignore[import-not-found]  # of the other environment

_handle = stepfunctions.handle_request


def add() -> None:
    """Let ministack know it."""
    stepfunctions.handle_request = _handle_redrive


async def _handle_redrive(method: str, path: str, headers: dict[str, str], body: bytes, query: Any) -> Any:
    if not headers.get("x-amz-target", "").endswith(".RedriveExecution"):
        return await _handle(method, path, headers, body, query)
    execution = stepfunctions._executions.get(json.loads(body)["executionArn"])
    if execution is None:
        return stepfunctions.error_response_json("ExecutionDoesNotExist", "There is no such execution", 400)
    if execution["status"] not in ("FAILED", "ABORTED", "TIMED_OUT"):
        said = f"Execution is {execution['status']} and cannot be redriven"
        return stepfunctions.error_response_json("ExecutionNotRedrivable", said, 400)
    execution |= {"status": "RUNNING", "stopDate": None, "error": None, "cause": None, "output": None}
    ours = contextvars.copy_context()
    threading.Thread(
        target=ours.run, args=(stepfunctions._run_execution, execution["executionArn"]), daemon=True
    ).start()
    return stepfunctions.json_response({"redriveDate": datetime.now(UTC).timestamp()})
