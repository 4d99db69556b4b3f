"""Build time only: turns an open_clip model into the folder that the service reads."""

import os

# As in `moderator`: before ONNX Runtime is imported, or it reports to its maker.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
