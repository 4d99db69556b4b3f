"""What ministack's distributed map lacks: batches of items, counts of items, and a record of the results.

https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itembatcher.html
https://docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html
"""

from __future__ import annotations

import gzip
import json
from typing import Any

from ministack.services import s3, stepfunctions  # type: ignore[import-not-found]  # of the other environment

from tools.emulator.limits import DATA_BYTES, in_batches, size_of

_call = stepfunctions._invoke_resource
_run = stepfunctions._run_distributed_map
_read = stepfunctions._read_map_items
_view = stepfunctions._map_run_view

# How many items an execution's map has, in batches.
_items_of: dict[str, int] = {}
_STATES = {
    "RUNNING": "running",
    "SUCCEEDED": "succeeded",
    "FAILED": "failed",
    "TIMED_OUT": "timedOut",
    "ABORTED": "aborted",
}


def add() -> None:
    """Let ministack know them."""
    stepfunctions._invoke_resource = _call_within_limits
    stepfunctions._run_distributed_map = _run_in_batches
    stepfunctions._map_run_view = _view_with_items


def _run_in_batches(state: dict[str, Any], raw: Any, effective: Any, iterator: Any, execution: Any, ctx: Any) -> Any:
    batcher = state.get("ItemBatcher")
    if not batcher:
        return _run(state, raw, effective, iterator, execution, ctx)
    items = _items(state["ItemReader"], effective, ctx)
    given = stepfunctions._resolve_params_obj(batcher.get("BatchInput") or {}, effective, ctx)
    cut = in_batches(
        items,
        most=int(batcher["MaxItemsPerBatch"]),
        most_bytes=int(batcher.get("MaxInputBytesPerBatch", DATA_BYTES)),
    )
    batches = [{"BatchInput": given, "Items": some} for some in cut]
    plain = {name: value for name, value in state.items() if name not in ("ItemReader", "ItemBatcher", "ResultPath")}
    _items_of[execution["executionArn"]] = len(items)
    before = set(stepfunctions._map_runs)
    try:
        _, then = _run({**plain, "ItemsPath": "$"}, raw, batches, iterator, execution, ctx)
    finally:
        ours = [
            arn
            for arn, run in stepfunctions._map_runs.items()
            if arn not in before and run["executionArn"] == execution["executionArn"]
        ]
        written = _write_results(state["ResultWriter"]["Parameters"], ours[0])
    answer = {"MapRunArn": ours[0], "ResultWriterDetails": written}
    return stepfunctions._apply_result_path(state, raw, answer), then


def _call_within_limits(resource: str, data: Any) -> Any:
    """Refuse what AWS would: a task's data may have 256 KiB, a batch with all that is around it included."""
    answer = _call(resource, _checked("A task is called with", data))
    return _checked("A task answers", answer)


def _checked(what: str, data: Any) -> Any:
    if size_of(data) > DATA_BYTES:
        said = f"{what} {size_of(data):,} bytes: at most {DATA_BYTES:,} are allowed"
        raise stepfunctions._ExecutionError("States.DataLimitExceeded", said)
    return data


def _write_results(where: dict[str, Any], map_run: str) -> dict[str, Any]:
    """Write what failed, and a manifest; return where that is."""
    folder = f"{where['Prefix']}/{map_run.rpartition(':')[2]}"
    written = {"Bucket": where["Bucket"], "Key": f"{folder}/manifest.json"}
    failed = [
        {"ExecutionArn": child["executionArn"], "Status": child["status"], "Error": child["error"]}
        | {"Cause": child["cause"], "Input": child["input"]}
        for child in _children(map_run)
        if child["status"] == "FAILED"
    ]
    files: dict[str, list[Any]] = {"FAILED": [], "SUCCEEDED": [], "PENDING": []}
    if failed:
        _put(where["Bucket"], f"{folder}/FAILED_0.json", failed)
        files["FAILED"] = [{"Key": f"{folder}/FAILED_0.json", "Size": len(json.dumps(failed))}]
    _put(written["Bucket"], written["Key"], {"DestinationBucket": written["Bucket"], "ResultFiles": files})
    return written


def _view_with_items(run: dict[str, Any]) -> Any:
    """Count items, where ministack counts batches of them."""
    view = _view(run)
    total = _items_of.get(run["executionArn"])
    if total is None:
        return view
    counts = dict.fromkeys(view["itemCounts"], 0) | {"total": total}
    for child in _children(run["mapRunArn"]):
        counts[_STATES[child["status"]]] += len(json.loads(child["input"])["Items"])
    counts["pending"] = total - sum(counts[name] for name in _STATES.values())
    return view | {"itemCounts": counts}


def _children(map_run: str) -> list[dict[str, Any]]:
    return [child for child in list(stepfunctions._executions.values()) if child.get("mapRunArn") == map_run]


def _items(reader: dict[str, Any], effective: Any, ctx: Any) -> list[Any]:
    if reader.get("ReaderConfig", {}).get("InputType") != "MANIFEST":
        found: list[Any] = _read(reader, effective, ctx)
        return found
    # An S3 Inventory: a manifest that names gzipped CSV files without a header.
    named = stepfunctions._resolve_params_obj(reader["Parameters"], effective, ctx)
    manifest = json.loads(_get(named["Bucket"], named["Key"]))
    columns = [column.strip() for column in manifest["fileSchema"].split(",")]
    bucket = manifest["destinationBucket"].rpartition(":")[2]
    config = {"InputType": "CSV", "CSVHeaderLocation": "GIVEN", "CSVHeaders": columns}
    return [
        item
        for file in manifest["files"]
        for item in stepfunctions._parse_reader_items(gzip.decompress(_get(bucket, file["key"])).decode(), config)
    ]


def _get(bucket: str, key: str) -> bytes:
    status, _, body = s3._get_object(bucket, key, {}, {})
    if status != 200:
        raise stepfunctions._ExecutionError("States.ItemReaderFailed", f"There is no {key} in {bucket}")
    return bytes(body)


def _put(bucket: str, key: str, record: Any) -> None:
    s3._put_object(bucket, key, json.dumps(record).encode(), {})
