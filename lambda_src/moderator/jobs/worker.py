"""The worker's entry in Lambda, in the same image as the service's."""

from __future__ import annotations

import os

from moderator.jobs.build import build_worker
from moderator.jobs.clients import Clients
from moderator.jobs.worker_settings import read_worker_settings
from moderator.settings import read_settings

handler = build_worker(read_settings(os.environ), read_worker_settings(os.environ), Clients())
