"""Builds the arm64 image with a container engine and looks at what came out: `make image`. Nothing is pushed.

Where this machine can run arm64 programs, by binfmt or with qemu-aarch64-static, the handler is started as Lambda
would: as a user without rights, on a read-only root, without a network.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from infra.events import HEALTH_EVENT
from tools.image_tree.checks import MAX_MEGABYTES, faults, megabytes
from tools.image_tree.dockerfile import Stage
from tools.image_tree.engine import PLATFORM, Engine, EngineTrouble, TooSlow
from tools.image_tree.tree import health_program

# What Lambda runs functions as is no user of the image's. https://docs.aws.amazon.com/lambda/latest/dg/images-create.html
_NOBODY = "65534:65534"
_QEMU = "qemu-aarch64-static"
# Graviton2's cores. All that the emulator knows would be more, and more than it can do.
_GRAVITON = "neoverse-n1"
# Under emulation; an emulator that fails may also never end.
_SECONDS_TO_START = 300.0
_OLD_EMULATOR = "QEMU 7.2, of Debian 12, breaks on ONNX Runtime and never ends, 10.0 does not"
# A label set's edit writes this layer again, and pushes it: our own code and what is configured.
_MOST_LABEL_MEGABYTES = 5


def check(engine: Engine, tag: str, folder: Path) -> list[str]:
    """List what is wrong with a built image, in sentences; its files are unpacked into `folder`."""
    (about,) = json.loads(engine.run("image", "inspect", tag))
    engine.unpack(tag, folder)
    image = _stage(about, tag, folder)
    print(f"image {tag}: {megabytes(image):.0f} MB of {MAX_MEGABYTES} MB, without the base image")
    return [*_of_config(about), *faults(image), *_of_layers(engine, tag)]


def start(engine: Engine, tag: str, folder: Path) -> str:
    """Ask the built image's handler for its health, where arm64 programs can be run, and say what came of it.

    Raises:
        EngineTrouble: it can be run, and failed.
    """
    (about,) = json.loads(engine.run("image", "inspect", tag))
    python = next((f"/{path.relative_to(folder)}" for path in folder.rglob("bin/python3.13")), "")
    emulator = shutil.which(_QEMU)
    entry = (
        ["--entrypoint", "/emulator", "--volume", f"{emulator}:/emulator:ro"] if emulator else ["--entrypoint", python]
    )
    if not python or not (emulator or _runs_arm64()):
        return f"not started: this machine runs no arm64 programs (Debian has {_QEMU} in qemu-user-static)"
    container = f"image-check-{os.getpid()}"
    command = (
        *(
            "run",
            "--rm",
            "--name",
            container,
            "--interactive",
            "--platform",
            PLATFORM,
            "--network",
            "none",
            "--read-only",
        ),
        *(
            "--env",
            f"QEMU_CPU={_GRAVITON}",
            "--user",
            _NOBODY,
            "--workdir",
            "/var/task",
            *entry,
            tag,
            *([python] if emulator else []),
        ),
        *("-c", health_program(about["Config"]["Cmd"][0])),
    )
    try:
        said = engine.run(*command, text=json.dumps(HEALTH_EVENT), seconds=_SECONDS_TO_START)
    except TooSlow:
        if not emulator:
            raise
        return f"not known: no answer under emulation within {_SECONDS_TO_START:.0f} s; {_OLD_EMULATOR}"
    finally:
        with suppress(EngineTrouble):  # where it has ended, it is gone
            engine.run("rm", "--force", container)
    answer = next(json.loads(line) for line in reversed(said.splitlines()) if line.startswith('{"statusCode"'))
    if answer["statusCode"] != 200:
        raise EngineTrouble(f"The image's handler is not well: {answer}")
    return f"healthy: {answer['body']}"


def _runs_arm64() -> bool:
    return os.uname().machine in ("aarch64", "arm64") or Path("/proc/sys/fs/binfmt_misc/qemu-aarch64").exists()


def _stage(about: dict[str, Any], tag: str, folder: Path) -> Stage:
    pairs = (pair.split("=", 1) for pair in about["Config"]["Env"])
    ours = {name: value for name, value in pairs if value.startswith("/var/task/")}
    return Stage(name=tag, base="", root=folder, environment=ours, command=list(about["Config"]["Cmd"] or []))


def _of_config(about: dict[str, Any]) -> Iterator[str]:
    if about["Architecture"] != "arm64":
        yield f"The image is for {about['Architecture']}: the builder took another base than the arm64 one."
    if "ORT_DISABLE_TELEMETRY=1" not in about["Config"]["Env"]:
        yield "ORT_DISABLE_TELEMETRY is not set: ONNX Runtime would call its maker."
    if about["Config"].get("User"):
        yield f"The image has a user, {about['Config']['User']}: Lambda has one of its own."


def _of_layers(engine: Engine, tag: str) -> Iterator[str]:
    lines = engine.run(
        "history", "--no-trunc", "--human=false", "--format", "{{.Size}}\t{{.CreatedBy}}", tag
    ).splitlines()
    layers = [(int(size), made) for size, _, made in (line.partition("\t") for line in lines) if size.isdigit()]
    for size, made in reversed(layers):
        if size and "COPY" in made:
            print(f"layer {size / 1e6:6.1f} MB: {made.removesuffix(' # buildkit')}")
        if "/build/task" in made and size > 1e6 * _MOST_LABEL_MEGABYTES:
            yield f"The label sets' layer has {size / 1e6:.0f} MB, which each edit of a label would push again."


def main(arguments: Sequence[str] | None = None) -> int:
    """Build, check and start; 1 where something is wrong with the image, 2 where there is none."""
    options = _parse(arguments)
    engine = Engine(options.docker)
    build_arguments = {
        "BASE_IMAGE": options.base_image,
        "MODEL": options.model,
        "PRETRAINED": options.pretrained,
        "PRECISION": options.precision,
    }
    if options.torch_index:
        build_arguments["TORCH_INDEX"] = options.torch_index
    with tempfile.TemporaryDirectory() as folder:
        try:
            engine.build(options.tag, build_arguments, options.options)
            found = check(engine, options.tag, Path(folder))
            for fault in found:
                print(f"fault: {fault}")
            print(start(engine, options.tag, Path(folder)))
        except EngineTrouble as error:
            print(f"image: {error}", file=sys.stderr)
            return 2
    return 1 if found else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make image", description=__doc__)
    parser.add_argument("--docker", default="docker", help="the engine's program")
    parser.add_argument("--tag", default="clip-video-moderator", help="the image's name on this machine")
    parser.add_argument("--model", default="demo")
    parser.add_argument("--pretrained", default="")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--torch-index", default="", help="a package index of CPU-only torch for the export, or none")
    parser.add_argument("--base-image", default="", help="instead of AWS' own")
    parser.add_argument("options", nargs="*", help="for the engine's build, after --")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
