"""Starts ministack, a local AWS, in a virtual environment of its own, with what its distributed map lacks.

`build/ministack/bin/python tools/emulator/__main__.py` (GATEWAY_PORT=). ministack 1.5 reads a map's items, but neither
batches them nor writes the results; both are added here as AWS documents them, and nothing else is changed.
https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itembatcher.html
https://docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html
"""

from __future__ import annotations

import gzip
import json
import sys
from typing import Any

from ministack.services import s3, stepfunctions  # type: ignore[import-not-found]  # of the other environment

_run = stepfunctions._run_distributed_map
_read = stepfunctions._read_map_items


def _run_in_batches(state: dict[str, Any], raw: Any, effective: Any, iterator: Any, execution: Any, ctx: Any) -> Any:
    batcher = state.get("ItemBatcher")
    if not batcher:
        return _run(state, raw, effective, iterator, execution, ctx)
    items = _items(state["ItemReader"], effective, ctx)
    given = stepfunctions._resolve_params_obj(batcher.get("BatchInput") or {}, effective, ctx)
    most = int(batcher["MaxItemsPerBatch"])
    batches = [{"BatchInput": given, "Items": items[at : at + most]} for at in range(0, len(items), most)]
    plain = {name: value for name, value in state.items() if name not in ("ItemReader", "ItemBatcher", "ResultPath")}
    run = {**plain, "ItemsPath": "$"}
    results, then = _run(run, raw, batches, iterator, execution, ctx)
    where = state["ResultWriter"]["Parameters"]
    written = {"Bucket": where["Bucket"], "Key": f"{where['Prefix']}/{execution['name']}/manifest.json"}
    failed = [{"Status": "FAILED"} for result in results if result is None]
    files: dict[str, list[Any]] = {"FAILED": [], "SUCCEEDED": [], "PENDING": []}
    if failed:
        key = written["Key"].replace("manifest", "FAILED_0")
        _put(written["Bucket"], key, failed)
        files["FAILED"] = [{"Key": key, "Size": 0}]
    _put(written["Bucket"], written["Key"], {"DestinationBucket": written["Bucket"], "ResultFiles": files})
    answer = {"MapRunArn": "local", "ResultWriterDetails": written}
    return stepfunctions._apply_result_path(state, raw, answer), then


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


stepfunctions._run_distributed_map = _run_in_batches

if __name__ == "__main__":
    from ministack.app import main  # type: ignore[import-not-found]  # as above

    sys.exit(main())
