"""Certificates for servers on this machine, each its own authority, and the options with which a store uses one."""

from __future__ import annotations

import subprocess
from pathlib import Path


def make_certificate(folder: Path, name: str) -> Path:
    """Write `name`.key and `name`.crt into `folder`; return the latter, which verifies itself."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "1", "-subj", "/CN=store", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", f"{name}.key", "-out", f"{name}.crt"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    return folder / f"{name}.crt"


def tls_options(name: str, port: int) -> list[str]:
    """Let a store that runs in the certificate's folder listen on `port` with TLS, beside its own port."""
    return ["--tls-port", str(port), "--tls-auth-clients", "no", "--tls-ca-cert-file", f"{name}.crt",
            "--tls-cert-file", f"{name}.crt", "--tls-key-file", f"{name}.key"]  # fmt: skip
