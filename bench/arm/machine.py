"""An emulated arm64 machine with Python and the Lambda's own wheels, all in build/arm; nothing is installed for it.

Needs Debian's qemu-user, llvm-19 and gcc (`make bench-arm` installs them), and Debian's arm64 packages and PyPI.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench.arm.estimate import PROCESSOR

FOLDER = Path("build/arm")
LLVM = Path("/usr/lib/llvm-19/bin")

_REQUIREMENTS = Path("lambda_src/requirements.txt")
_COUNTER = Path("bench/arm/counter.c")
# Python and what it is linked with, as Debian has it. The wheels bring the rest themselves.
_PACKAGES = (
    "python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "libc6", "libstdc++6", "libgcc-s1", "zlib1g",
    "libexpat1", "libssl3", "libffi8", "libbz2-1.0", "liblzma5", "libsqlite3-0", "libuuid1",
)  # fmt: skip
_PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64")

# /sys tells of the real processor. Without it, as on Lambda, ONNX Runtime warns and works.
_WITHOUT_SYS = 'mount -t tmpfs none /sys && exec "$@"'


class Machine:
    """Runs Python programs as if on Graviton2's processor."""

    def __init__(self) -> None:
        for program in ("qemu-aarch64", "gcc", "unshare", "apt-get", str(LLVM / "llvm-mca")):
            if shutil.which(program) is None:
                sys.exit(f"{program} is needed: `make bench-arm` on Debian or Ubuntu installs it.")
        self._root, self._wheels = FOLDER / "root", FOLDER / "wheels"
        self._counter = FOLDER / "libcounter.so"
        _once(self._root, _debian)
        _once(self._wheels, _lambdas_wheels)
        _once(self._counter, _compile_counter)

    def start(
        self, arguments: Sequence[str], *, counts: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start Python with `arguments`; what is executed between its marks is written into `counts`."""
        plugin = ["-plugin", f"{self._counter.resolve()},out={counts.resolve()}"] if counts else []
        namespace = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
        python = [str(self._root / "usr/bin/python3.11"), "-W", "ignore", *arguments]
        path = os.pathsep.join(str(folder.resolve()) for folder in (Path("lambda_src"), Path(), self._wheels))
        return subprocess.Popen(
            [
                *(*namespace, "sh", "-c", _WITHOUT_SYS, "sh"),
                *("qemu-aarch64", "-cpu", PROCESSOR, "-L", str(self._root), *plugin, *python),
            ],
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": path, "ORT_DISABLE_TELEMETRY": "1", **(environment or {})},
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self, arguments: Sequence[str], *, counts: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> str:
        """Run Python with `arguments` and return what it printed.

        Raises:
            RuntimeError: it failed.
        """
        process = self.start(arguments, counts=counts, environment=environment)
        printed, _ = process.communicate()
        if process.returncode:
            raise RuntimeError(f"python {' '.join(arguments)} failed under emulation with {process.returncode}.")
        return printed


def _once(path: Path, make: Callable[[Path], None]) -> None:
    """Make `path` whole or not at all, where it is not there yet."""
    if path.exists():
        return
    unfinished = path.with_name(f"{path.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    make(unfinished)
    unfinished.rename(path)


def _debian(root: Path) -> None:
    """Unpack Debian's arm64 packages into `root`; apt's own lists and configuration stay as they are."""
    apt, packages = (FOLDER / "apt").resolve(), (FOLDER / "packages").resolve()
    for folder in (packages, apt / "state/lists/partial", apt / "cache/archives/partial"):
        folder.mkdir(parents=True, exist_ok=True)
    (apt / "status").touch()
    options = []
    for option in (
        "APT::Architecture=arm64",
        "APT::Architectures=arm64",
        f"Dir::State={apt / 'state'}",
        f"Dir::State::status={apt / 'status'}",
        f"Dir::Cache={apt / 'cache'}",
        "APT::Sandbox::User=root",
    ):
        options += ["-o", option]
    subprocess.run(["apt-get", *options, "-qq", "update"], check=True)
    subprocess.run(["apt-get", *options, "-qq", "download", *_PACKAGES], check=True, cwd=packages)
    for package in sorted(packages.glob("*.deb")):
        subprocess.run(["dpkg", "-x", str(package), str(root)], check=True)


def _lambdas_wheels(folder: Path) -> None:
    """Unpack the Lambda's own wheels for arm64, by the lock's hashes."""
    downloaded = FOLDER / "downloaded"
    platforms = [word for platform in _PLATFORMS for word in ("--platform", platform)]
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"),
            *("-r", str(_REQUIREMENTS), *platforms, "--python-version", "3.11", "--only-binary", ":all:"),
            *("-d", str(downloaded)),
        ],
        check=True,
    )
    for wheel in downloaded.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)


def _compile_counter(library: Path) -> None:
    subprocess.run(["gcc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, _COUNTER], check=True)
