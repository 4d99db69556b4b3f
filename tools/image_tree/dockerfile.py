"""Follows a Dockerfile's steps without a container engine: a folder for each stage, RUN in that folder.

Reads the part of the language that ours uses and refuses the rest. RUN keeps to its own folder, so paths in it are
relative; the base image's files are not there, and `python` and `pip` are the ones handed in.
https://docs.docker.com/reference/dockerfile/
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tools.image_tree.context import context_files

# What AWS' base image sets. https://github.com/aws/aws-lambda-base-images
BASE_ENVIRONMENT = {"LAMBDA_TASK_ROOT": "/var/task"}


@dataclass
class Stage:
    """One stage as far as it was followed: its folder stands for `/`."""

    name: str
    base: str
    root: Path
    folder: str = "/"
    variables: dict[str, str] = field(default_factory=lambda: dict(BASE_ENVIRONMENT))
    environment: dict[str, str] = field(default_factory=dict)
    command: list[str] = field(default_factory=list)
    runs: int = 0


@dataclass(frozen=True, kw_only=True)
class Builder:
    """Where the steps are followed; `rewrite` may change a RUN's command before it is run."""

    context: Path
    out: Path
    python: Path
    arguments: Mapping[str, str]
    rewrite: Callable[[str], str] = lambda command: command

    def follow(self, dockerfile: Path) -> list[Stage]:
        """Follow every step and return the stages; the last one is the image where none is named.

        Raises:
            ValueError: a step that is not understood here.
            subprocess.CalledProcessError: a RUN failed.
        """
        self._make_tools()
        global_arguments: dict[str, str] = {}
        stages: list[Stage] = []
        for step, rest in instructions(dockerfile.read_text(encoding="utf-8")):
            if step == "ARG" and not stages:
                global_arguments |= self._argument(rest)
            elif step == "FROM":
                stages.append(self._begin(rest, global_arguments, stages))
            else:
                self._take(step, rest, stages)
        return stages

    def _begin(self, rest: str, arguments: Mapping[str, str], stages: list[Stage]) -> Stage:
        words = [word for word in shlex.split(rest) if not word.startswith("--")]
        name = words[2] if len(words) == 3 else str(len(stages))
        root = self.out / name
        for earlier in stages:
            if earlier.name == words[0]:
                # A stage that goes on from another has all that it has: files, environment, command.
                shutil.copytree(earlier.root, root)
                return replace(
                    earlier,
                    name=name,
                    root=root,
                    variables=dict(earlier.variables),
                    environment=dict(earlier.environment),
                    command=list(earlier.command),
                )
        root.mkdir(parents=True)
        return Stage(name=name, base=_substitute(words[0], arguments), root=root)

    def _take(self, step: str, rest: str, stages: list[Stage]) -> None:
        stage = stages[-1]
        match step:
            case "ARG":
                stage.variables |= self._argument(rest)
            case "ENV":
                pairs = dict(pair.split("=", 1) for pair in shlex.split(_substitute(rest, stage.variables)))
                stage.environment |= pairs
                stage.variables |= pairs
            case "WORKDIR":
                stage.folder = rest
                _inside(stage, ".").mkdir(parents=True, exist_ok=True)
            case "COPY":
                self._copy(rest, stage, stages)
            case "RUN":
                self._run(rest, stage)
            case "CMD":
                stage.command = re.findall(r'"([^"]*)"', rest)
            case _:
                raise ValueError(f"{step} is not understood here.")

    def _argument(self, rest: str) -> dict[str, str]:
        name, _, default = shlex.split(rest)[0].partition("=")
        return {name: self.arguments.get(name, default)}

    def _copy(self, rest: str, stage: Stage, stages: list[Stage]) -> None:
        words = shlex.split(_substitute(rest, stage.variables))
        options = [word for word in words if word.startswith("--")]
        *sources, target = [word for word in words if not word.startswith("--")]
        from_stage = options[0].removeprefix("--from=") if options else None
        if from_stage:
            (origin,) = [one for one in stages if one.name == from_stage]
            root, sent = origin.root, None
        else:
            # What .dockerignore leaves out is not there to be copied.
            root, sent = self.context, context_files(self.context)
        for source in (source.strip("/") for source in sources):
            to = _inside(stage, target)
            if (root / source).is_file():
                to = to / Path(source).name if target.endswith("/") else to
                if sent is not None and Path(source) not in sent:
                    raise ValueError(f"COPY {source}: .dockerignore leaves it out.")
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(root / source, to)
            elif sent is None:
                shutil.copytree(root / source, to, dirs_exist_ok=True)
            else:
                inside = [path for path in sent if path.is_relative_to(source)]
                if not inside:
                    raise ValueError(f"COPY {source}: nothing of it is in the context.")
                for path in inside:
                    copy = to / path.relative_to(source)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(root / path, copy)

    def _run(self, command: str, stage: Stage) -> None:
        stage.runs += 1
        subprocess.run(  # noqa: S603  # the repository's own Dockerfile
            ["/bin/sh", "-ec", self.rewrite(command)],
            cwd=_inside(stage, "."),
            env={**os.environ, **stage.variables, "PATH": f"{self.out / 'tools'}:{os.environ['PATH']}"},
            check=True,
        )

    def _make_tools(self) -> None:
        tools = self.out / "tools"
        tools.mkdir(parents=True)
        for name, command in {"python": "", "pip": " -m pip --disable-pip-version-check"}.items():
            (tools / name).write_text(f'#!/bin/sh\nexec {shlex.quote(str(self.python))}{command} "$@"\n')
            (tools / name).chmod(0o755)


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Give a Dockerfile's steps: the instruction in capitals and the rest of its line."""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            step, _, rest = line.strip().partition(" ")
            yield step.upper(), rest.strip()


def _inside(stage: Stage, path: str) -> Path:
    whole = path if path.startswith("/") else f"{stage.folder}/{path}"
    return stage.root / whole.lstrip("/")


def _substitute(text: str, variables: Mapping[str, str]) -> str:
    return re.sub(r"\$\{(\w+)\}|\$(\w+)", lambda match: variables[match[1] or match[2]], text)
