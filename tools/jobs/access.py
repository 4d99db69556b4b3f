"""AWS as a command reaches it: AWS itself, or an emulator at `ENDPOINT=`; and what the Pulumi stack says it made."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config

from tools.jobs.trouble import Trouble

# An emulator asks for some region and some keys, and takes all.
_EMULATED_REGION = "eu-central-1"


@dataclass(frozen=True)
class Access:
    """Makes clients; `endpoint` is an emulator's address, or empty."""

    endpoint: str = ""

    def client(self, service: str, region: str = "") -> Any:
        """Make a client of a service, in `region` or else where AWS' command line would go."""
        session = self._session
        more: dict[str, Any] = {}
        if self.endpoint:
            more["endpoint_url"] = self.endpoint
            region = region or session.region_name or _EMULATED_REGION
            if session.get_credentials() is None:
                more |= {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        return session.client(
            service,
            region_name=region or None,
            config=Config(
                connect_timeout=5,
                read_timeout=30,
                retries={"mode": "standard", "total_max_attempts": 5},
                s3={"addressing_style": "path"} if self.endpoint else None,
            ),
            **more,
        )

    @cached_property
    def _session(self) -> Any:
        return boto3.Session()


def stack_output(name: str, *, instead: str) -> str:
    """Return an output of the Pulumi stack that is selected in this folder; `instead` is what else could be given.

    Raises:
        Trouble: there is no Pulumi, no stack, or no such output.
    """
    pulumi = shutil.which("pulumi")
    if pulumi is None:
        raise Trouble(f"Pulumi is not installed, so the stack cannot be asked: give {instead}.")
    done = subprocess.run(  # noqa: S603  # the same program that makes the stack
        [pulumi, "stack", "output", "--json", "--non-interactive"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise Trouble(f"Pulumi knows no stack here ({said[-1] if said else 'no reason given'}): give {instead}.")
    found = json.loads(done.stdout).get(name)
    if not found:
        raise Trouble(
            f"The stack has no output {name}: switch jobs on (docs/jobs.md) and run `pulumi up`, or give {instead}."
        )
    return str(found)
