"""The service at run time: a picture and labels in, probabilities out.

Neither torch nor open_clip is imported here; `model_build` needs them, and only when a model is exported.
"""

import os

# ONNX Runtime reports to its maker, 9 s after the start, unless this is set before it is imported; its own
# `disable_telemetry_events()` comes too late (seen with 1.32). Here, because no entry point gets past this line.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# Plugins would have to be installed by us, and pydantic looks for them among all packages at each start.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
