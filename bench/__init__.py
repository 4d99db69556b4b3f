"""What `make bench` runs: the service beside what it replaces, all in one run on one machine."""

import os

# As in `moderator`; the processes that measure a start inherit it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
